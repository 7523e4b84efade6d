//! Native-messaging frames: a length in native byte order, then that many bytes of UTF-8 JSON.
//!
//! Pure over any reader and writer. Invariant: memory grows with what has arrived, never with what a header claims.

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// Largest frame taken; what browsers send here is under a kilobyte.
pub(super) const MAX_INCOMING: usize = 1024 * 1024;
/// Largest frame a browser takes from a host.
pub(super) const MAX_OUTGOING: usize = 1024 * 1024;

/// What came in.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Incoming {
    /// A frame's bytes.
    Frame(Vec<u8>),
    /// Larger than [`MAX_INCOMING`]. The rest of the stream cannot be trusted.
    TooLarge(u32),
    /// The end, between frames or within one.
    End,
}

/// Reads one frame.
///
/// # Errors
/// When the pipe fails.
pub(super) async fn read(reader: &mut (impl AsyncRead + Unpin)) -> std::io::Result<Incoming> {
    let mut header = [0_u8; 4];
    match reader.read_exact(&mut header).await {
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(Incoming::End),
        Err(error) => return Err(error),
    }
    let length = u32::from_ne_bytes(header);
    if length as usize > MAX_INCOMING {
        return Ok(Incoming::TooLarge(length));
    }
    let mut bytes = Vec::new();
    reader.take(u64::from(length)).read_to_end(&mut bytes).await?;
    Ok(if bytes.len() == length as usize { Incoming::Frame(bytes) } else { Incoming::End })
}

/// Writes one frame and flushes it.
///
/// # Errors
/// When the pipe is broken, or the frame is larger than browsers take.
pub(super) async fn write(writer: &mut (impl AsyncWrite + Unpin), json: &str) -> std::io::Result<()> {
    let length = u32::try_from(json.len()).ok().filter(|length| *length as usize <= MAX_OUTGOING);
    let length =
        length.ok_or_else(|| std::io::Error::new(std::io::ErrorKind::InvalidData, "frame above 1 MiB"))?;
    // One write: a reader never sees a header without its body for longer than it must.
    let mut bytes = Vec::with_capacity(json.len() + 4);
    bytes.extend_from_slice(&length.to_ne_bytes());
    bytes.extend_from_slice(json.as_bytes());
    writer.write_all(&bytes).await?;
    writer.flush().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn frames_survive_any_cutting() {
        let (mut near, mut far) = tokio::io::duplex(3);
        let writer = tokio::spawn(async move {
            write(&mut near, "{\"a\":1}").await.unwrap();
            write(&mut near, "").await.unwrap();
            write(&mut near, "ü").await.unwrap();
        });
        assert_eq!(read(&mut far).await.unwrap(), Incoming::Frame(b"{\"a\":1}".to_vec()));
        assert_eq!(read(&mut far).await.unwrap(), Incoming::Frame(Vec::new()));
        assert_eq!(read(&mut far).await.unwrap(), Incoming::Frame("ü".as_bytes().to_vec()));
        writer.await.unwrap();
        assert_eq!(read(&mut far).await.unwrap(), Incoming::End);
    }

    #[tokio::test]
    async fn headers_are_not_believed() {
        let claims: &[u8] = &u32::MAX.to_ne_bytes();
        assert_eq!(read(&mut &*claims).await.unwrap(), Incoming::TooLarge(u32::MAX));
        let cut = [&1000_u32.to_ne_bytes()[..], b"abc"].concat();
        assert_eq!(read(&mut cut.as_slice()).await.unwrap(), Incoming::End);
        assert_eq!(read(&mut [1_u8, 0, 0].as_slice()).await.unwrap(), Incoming::End);
    }

    #[tokio::test]
    async fn nothing_larger_than_browsers_take_goes_out() {
        let mut out = Vec::new();
        assert!(write(&mut out, &"x".repeat(MAX_OUTGOING + 1)).await.is_err());
        assert!(out.is_empty());
    }
}

//! Who holds a port, for an honest error. Reads `/proc` and changes nothing; elsewhere than on Linux nobody is named.

/// Name of the program listening on `port`, when the system tells. Linux only.
pub(super) fn of_port(port: u16) -> Option<String> {
    let inodes: Vec<String> = ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .filter_map(|table| std::fs::read_to_string(table).ok())
        .flat_map(|table| {
            table.lines().skip(1).filter_map(|line| listening_inode(line, port)).collect::<Vec<_>>()
        })
        .collect();
    let wanted: Vec<String> = inodes.iter().map(|inode| format!("socket:[{inode}]")).collect();
    for process in std::fs::read_dir("/proc").ok()?.flatten() {
        // `/proc/self` and its like are not numbers.
        let number = process.file_name().to_string_lossy().into_owned();
        if !number.bytes().all(|byte| byte.is_ascii_digit()) {
            continue;
        }
        let Ok(files) = std::fs::read_dir(process.path().join("fd")) else { continue };
        let holds = files
            .flatten()
            .filter_map(|file| std::fs::read_link(file.path()).ok())
            .any(|target| wanted.iter().any(|socket| target.as_os_str() == socket.as_str()));
        if holds {
            let name = std::fs::read_to_string(process.path().join("comm")).ok()?;
            return Some(format!("{} (process {number})", name.trim()));
        }
    }
    None
}

/// The inode column of a line of `/proc/net/tcp` that listens (state 0A) on `port`.
fn listening_inode(line: &str, port: u16) -> Option<String> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let (_, number) = fields.get(1)?.rsplit_once(':')?;
    let listens = fields.get(3) == Some(&"0A") && u16::from_str_radix(number, 16) == Ok(port);
    listens.then(|| fields.get(9).map(|inode| (*inode).to_owned())).flatten()
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_listening_program_is_named() {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let holder = super::of_port(port);
        if cfg!(target_os = "linux") {
            let holder = holder.unwrap();
            assert!(holder.contains(&std::process::id().to_string()), "{holder}");
        }
    }
}

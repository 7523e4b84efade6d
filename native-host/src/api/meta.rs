//! `POST /meta`: what is behind an address, before anybody downloads it.

use axum::Json;
use axum::extract::State;
use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde::Deserialize;
use weir_engine::Thumbnail;
use weir_media::variants::RenditionKind;
use weir_protocol::{DownloadKind, Meta, MetaRequest, Variant};

use super::Shared;
use super::error::ApiError;
use super::input::{OptionalBody, Params};
use super::intake::{check_headers, check_url};
use crate::queue;
use crate::store::RequestContext;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MetaParams {
    url: Option<String>,
    kind: Option<DownloadKind>,
}

/// `POST /meta?url=…&kind=…`, or address, kind and headers in a JSON body.
pub(super) async fn meta(
    State(door): Shared,
    Params(params): Params<MetaParams>,
    OptionalBody(body): OptionalBody<MetaRequest>,
) -> Result<Json<Meta>, ApiError> {
    let mut request = body.unwrap_or_default();
    if let Some(url) = params.url {
        request.url = url;
    }
    let kind = params.kind.or(request.kind).map(queue::engine_kind);
    let url = check_url(&request.url)?;
    let (headers, cookies) =
        check_headers(&request.headers, request.cookies.as_deref(), request.referer.as_deref())?;
    let context = RequestContext { headers, cookies, referer: request.referer, ..RequestContext::default() };
    let source = queue::source(url.as_str(), &context)?;
    let probe = door.settings.in_force().engine.probe_as(&source, kind).await?;
    let duration_ms = probe.duration.map(|duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX));
    let estimates: Vec<Option<u64>> =
        probe.variants.iter().map(|variant| probe.estimated_bytes(variant)).collect();
    let variants =
        probe.variants.into_iter().zip(estimates).map(|(variant, size)| wire_variant(variant, size));
    Ok(Json(Meta {
        url: url.into(),
        kind: queue::wire_kind(probe.kind),
        title: probe.title,
        filename: probe.filename,
        duration_ms,
        thumbnail: probe.thumbnail.map(picture),
        total_bytes: probe.total_bytes,
        content_type: probe.content_type,
        resumable: probe.resumable,
        live: probe.live,
        variants: variants.collect(),
        audio: renditions(&probe.renditions, RenditionKind::Audio),
        subtitles: renditions(&probe.renditions, RenditionKind::Subtitles),
    }))
}

/// An address, or the picture itself.
fn picture(thumbnail: Thumbnail) -> String {
    match thumbnail {
        Thumbnail::Address(url) => url.into(),
        Thumbnail::Jpeg(bytes) => format!("data:image/jpeg;base64,{}", BASE64_STANDARD.encode(bytes)),
    }
}

fn renditions(
    of: &[weir_media::variants::Rendition<()>],
    kind: RenditionKind,
) -> Vec<weir_protocol::Rendition> {
    let wanted = of.iter().filter(|rendition| rendition.kind == kind);
    wanted
        .map(|rendition| weir_protocol::Rendition {
            id: rendition.id.clone(),
            language: rendition.language.clone(),
            name: rendition.name.clone(),
            default: rendition.default,
            forced: rendition.forced,
            codecs: rendition.codecs.clone(),
        })
        .collect()
}

fn wire_variant(variant: weir_media::variants::Variant<()>, estimated_bytes: Option<u64>) -> Variant {
    Variant {
        id: variant.id,
        label: variant.label,
        width: variant.width,
        height: variant.height,
        frame_rate: variant.frame_rate,
        bandwidth: variant.bandwidth,
        codecs: variant.codecs,
        estimated_bytes,
    }
}

//! Compresses text answers with gzip for clients that accept it.
//!
//! Not compressed: streams, whose parts would wait in the encoder, and XML-RPC, whose clients are on the same host and ask
//! for gzip without need.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use hyper::Method;
use hyper::body::Bytes;
use hyper::header::{self, HeaderMap};
use hyper::http::request::Parts;

use super::response::{CustomBody, CustomResponse, HandlerResponse};
use crate::http_server::blocking_pool::run_blocking;

/// Sizes of bodies that are compressed, in bytes. Smaller ones fit into one packet, larger ones would occupy a thread for
/// long.
const SIZES: std::ops::RangeInclusive<usize> = 1 << 10..=32 << 20;
/// Size up to which a body is compressed at once, in bytes. Larger ones are compressed on another thread.
const AT_ONCE_MAX: usize = 16 << 10;

/// Returns the answer, compressed if the client accepts that and it is worth it.
pub(super) async fn compress_answer(answer: HandlerResponse, head: &Parts) -> HandlerResponse {
    if head.method != Method::GET || !accepts_gzip(&head.headers) || is_foreign(&head.headers) {
        return answer;
    }
    let mut made = match answer {
        HandlerResponse::Full(content_type, body) => Box::new(CustomResponse {
            status: hyper::StatusCode::OK,
            content_type,
            headers: Vec::new(),
            body: CustomBody::Whole(body),
        }),
        HandlerResponse::Made(made) => made,
        other => return other,
    };
    if let CustomBody::Whole(body) = &made.body
        && SIZES.contains(&body.len())
        && is_text(made.content_type)
    {
        made.headers
            .push((header::VARY, "Accept-Encoding".to_owned()));
        if let Some(gzip) = gzip_of(body.clone()).await {
            made.body = CustomBody::Whole(gzip);
            made.headers
                .push((header::CONTENT_ENCODING, "gzip".to_owned()));
        }
    }
    HandlerResponse::Made(made)
}

/// The compressed body. `None`: it is not smaller.
async fn gzip_of(body: Bytes) -> Option<Bytes> {
    let length = body.len();
    let compress = move || {
        let room = Vec::with_capacity(length / 4);
        let mut encoder = GzEncoder::new(room, Compression::fast());
        encoder.write_all(&body).ok()?;
        encoder.finish().ok()
    };
    let gzip = match length {
        0..=AT_ONCE_MAX => compress(),
        _ => run_blocking(compress).await.flatten(),
    };
    gzip.filter(|gzip| gzip.len() < length).map(Bytes::from)
}

fn is_text(content_type: &str) -> bool {
    let kind = content_type.split(';').next().unwrap_or("").trim();
    kind.starts_with("text/") && kind != "text/event-stream"
        || matches!(kind, "application/json" | "application/problem+json")
}

/// Whether the client accepts gzip.
///
/// # Source
/// RFC 9110 section 12.5.3.
fn accepts_gzip(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(header::ACCEPT_ENCODING).iter();
    let codings = lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','));
    for coding in codings {
        let mut parts = coding.split(';').map(str::trim);
        let name = parts.next().unwrap_or("");
        if !name.eq_ignore_ascii_case("gzip") && !name.eq_ignore_ascii_case("x-gzip") {
            continue;
        }
        let weight = parts.find_map(|part| part.strip_prefix("q="));
        return weight.is_none_or(|weight| weight.parse().is_ok_and(|weight: f64| weight > 0.0));
    }
    false
}

/// Whether another site caused the request. The page contains a secret token, and repeats a part of its address. A site
/// that could choose that part and observe the compressed length could guess the token (BREACH).
fn is_foreign(headers: &HeaderMap) -> bool {
    let site = headers.get("sec-fetch-site");
    site.is_some_and(|site| !matches!(site.as_bytes(), b"same-origin" | b"none"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::http::response::custom_response;
    use hyper::StatusCode;
    use std::io::Read as _;
    use tokio::runtime::Builder;

    fn answer(
        headers: &[(&'static str, &'static str)],
        answer: HandlerResponse,
    ) -> HandlerResponse {
        let mut request = hyper::Request::get("/");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let head = request.body(()).expect("valid").into_parts().0;
        let runtime = Builder::new_current_thread().build().expect("runtime");
        runtime.block_on(compress_answer(answer, &head))
    }

    /// The body, and whether it is compressed.
    fn body_of(answer: HandlerResponse) -> (Bytes, bool) {
        match answer {
            HandlerResponse::Made(made) => {
                let mut headers = made.headers.iter();
                let is_gzip = headers.any(|(name, _)| name == header::CONTENT_ENCODING);
                match made.body {
                    CustomBody::Whole(body) => (body, is_gzip),
                    CustomBody::None(_) | CustomBody::Growing(_) => panic!("no body"),
                }
            }
            HandlerResponse::Full(_, body) => (body, false),
            _ => panic!("another answer"),
        }
    }

    fn page(length: usize) -> HandlerResponse {
        custom_response(
            StatusCode::OK,
            "text/html;charset=utf-8",
            Vec::new(),
            "abcdefgh".repeat(length / 8),
        )
    }

    #[test]
    fn long_texts_are_compressed_for_those_who_accept_it() {
        let accept = ("accept-encoding", "br, gzip;q=0.5");
        for length in [1 << 10, 100 << 10] {
            let (body, is_gzip) = body_of(answer(&[accept], page(length)));
            assert!(is_gzip && body.len() < length, "{length}");
            let mut text = String::new();
            flate2::read::GzDecoder::new(&*body)
                .read_to_string(&mut text)
                .expect("gzip");
            assert_eq!(text, "abcdefgh".repeat(length / 8));
        }
        let full = HandlerResponse::Full("application/json", Bytes::from(vec![b'1'; 5000]));
        assert!(body_of(answer(&[accept], full)).1);
    }

    #[test]
    fn other_answers_stay_as_they_are() {
        let gzip = ("accept-encoding", "gzip");
        let cross = ("sec-fetch-site", "cross-site");
        for headers in [
            &[][..],
            &[("accept-encoding", "gzip;q=0")],
            &[("accept-encoding", "br")],
            &[gzip, cross],
        ] {
            assert!(!body_of(answer(headers, page(4096))).1, "{headers:?}");
        }
        assert!(!body_of(answer(&[gzip], page(1000))).1);
        let image = HandlerResponse::Full("image/png", Bytes::from(vec![0; 5000]));
        assert!(!body_of(answer(&[gzip], image)).1);
        let scrape = HandlerResponse::Full("text/event-stream", Bytes::from(vec![0; 5000]));
        assert!(!body_of(answer(&[gzip], scrape)).1);
    }
}

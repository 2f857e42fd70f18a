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

use super::blocking_pool::run_blocking;
use super::response::{HttpBody, HttpResponse};

/// Sizes of bodies that are compressed, in bytes. Smaller ones fit into one packet, larger ones would occupy a thread for
/// long.
const SIZES: std::ops::RangeInclusive<usize> = 1 << 10..=32 << 20;
/// Size up to which a body is compressed at once, in bytes. Larger ones are compressed on another thread.
const AT_ONCE_MAX: usize = 16 << 10;

/// Returns the response to a request, compressed if the client accepts that and it is worth it.
pub(crate) async fn compress_response(
    mut response: HttpResponse,
    method: &Method,
    headers: &HeaderMap,
) -> HttpResponse {
    if *method != Method::GET || !accepts_gzip(headers) || is_foreign(headers) {
        return response;
    }
    if let HttpBody::Whole(body) = &response.body
        && SIZES.contains(&body.len())
        && is_text(response.content_type)
    {
        let vary = (header::VARY, "Accept-Encoding".to_owned());
        response.headers.push(vary);
        if let Some(gzip) = gzip_of(body.clone()).await {
            response.body = HttpBody::Whole(gzip);
            let coding = (header::CONTENT_ENCODING, "gzip".to_owned());
            response.headers.push(coding);
        }
    }
    response
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
    use hyper::StatusCode;
    use hyper::header::HeaderValue;
    use std::io::Read as _;
    use tokio::runtime::Builder;

    /// The body of the response to a request with these headers, and whether it is compressed.
    fn answer(
        given: &[(&'static str, &'static str)],
        content_type: &'static str,
        body: Vec<u8>,
    ) -> (Bytes, bool) {
        let mut headers = HeaderMap::new();
        for (name, value) in given {
            headers.insert(*name, HeaderValue::from_static(value));
        }
        let response = HttpResponse::new(StatusCode::OK, content_type, body);
        let runtime = Builder::new_current_thread().build().expect("runtime");
        let response = runtime.block_on(compress_response(response, &Method::GET, &headers));
        let mut named = response.headers.iter();
        let is_gzip = named.any(|(name, _)| name == header::CONTENT_ENCODING);
        match response.body {
            HttpBody::Whole(body) => (body, is_gzip),
            HttpBody::None(_) | HttpBody::Growing(_) => panic!("no body"),
        }
    }

    const PAGE: &str = "text/html;charset=utf-8";

    fn page(length: usize) -> Vec<u8> {
        "abcdefgh".repeat(length / 8).into_bytes()
    }

    #[test]
    fn long_texts_are_compressed_for_those_who_accept_it() {
        let accept = ("accept-encoding", "br, gzip;q=0.5");
        for length in [1 << 10, 100 << 10] {
            let (body, is_gzip) = answer(&[accept], PAGE, page(length));
            assert!(is_gzip && body.len() < length, "{length}");
            let mut text = Vec::new();
            flate2::read::GzDecoder::new(&*body)
                .read_to_end(&mut text)
                .expect("gzip");
            assert_eq!(text, page(length));
        }
        assert!(answer(&[accept], "application/json", vec![b'1'; 5000]).1);
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
            assert!(!answer(headers, PAGE, page(4096)).1, "{headers:?}");
        }
        assert!(!answer(&[gzip], PAGE, page(1000)).1);
        for kind in ["image/png", "text/event-stream"] {
            assert!(!answer(&[gzip], kind, vec![0; 5000]).1, "{kind}");
        }
    }
}

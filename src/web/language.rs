//! The language in which a page is shown: the choice of its user, else what the browser asks for.

use hyper::header::{self, HeaderMap};

use super::form::Form;
use super::texts::Language;

/// The cookie with the choice.
const COOKIE: &str = "lang";
/// How long the browser keeps the choice, in seconds.
const COOKIE_AGE: u32 = 365 * 86_400;

/// The request of a page: what its frame needs to know of it.
#[derive(Debug, Clone)]
pub(crate) struct PageRequest {
    pub(crate) language: Language,
    /// The address of the page relative to the root, to which a change of the language returns.
    pub(crate) address: String,
    /// The way from the address to the root: empty, or `../` for each directory.
    pub(crate) root: String,
}

impl PageRequest {
    /// `path` is below the root, and still percent-encoded, as is the query. Empty: there is none.
    pub(crate) fn new(path: &str, query: &str, headers: &HeaderMap) -> Self {
        let path = path.strip_prefix('/').unwrap_or_default();
        // A message is shown only once.
        let parts: Vec<&str> = query
            .split('&')
            .filter(|part| !part.is_empty() && !part.starts_with("message="))
            .collect();
        let address = match parts.is_empty() {
            true => path.to_owned(),
            false => format!("{path}?{}", parts.join("&")),
        };
        Self {
            language: language_of(headers),
            address,
            root: "../".repeat(path.matches('/').count()),
        }
    }
}

/// The language of a request.
///
/// # Source
/// RFC 9110 section 12.5.4 for `Accept-Language`; RFC 6265 for `Cookie`.
pub(crate) fn language_of(headers: &HeaderMap) -> Language {
    let values = |name| {
        headers
            .get_all(name)
            .iter()
            .filter_map(|value| value.to_str().ok())
    };
    let chosen = values(header::COOKIE)
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(name, _)| *name == COOKIE)
        .and_then(|(_, value)| by_cookie(value));
    chosen.unwrap_or_else(|| best_language(values(header::ACCEPT_LANGUAGE)))
}

fn by_cookie(value: &str) -> Option<Language> {
    Language::ALL
        .into_iter()
        .find(|language| language.cookie_value() == value)
}

/// The language with the greatest weight. English: none of them is asked for.
fn best_language<'a>(lines: impl Iterator<Item = &'a str>) -> Language {
    let mut best = (0.0, Language::English);
    for range in lines.flat_map(|line| line.split(',')) {
        let mut parts = range.split(';').map(str::trim);
        let tag = parts.next().unwrap_or("").to_ascii_lowercase();
        let primary = tag.split('-').next().unwrap_or("");
        let Some(language) = by_cookie(primary) else {
            continue;
        };
        let weight = parts.find_map(|part| part.strip_prefix("q="));
        let weight = weight.map_or(Some(1.0), |weight| weight.parse::<f64>().ok());
        let weight = weight.unwrap_or(0.0);
        if weight > best.0 {
            best = (weight, language);
        }
    }
    best.1
}

/// Where a form that chooses a language leads: the cookie that keeps the choice, and the address of the page relative to
/// the root. `None`: the form names no language.
pub(crate) fn choose_language(form: &Form) -> Option<(String, String)> {
    let language = form.get("lang").and_then(by_cookie)?;
    let cookie = format!(
        "{COOKIE}={}; Max-Age={COOKIE_AGE}; Path=/; SameSite=Lax",
        language.cookie_value()
    );
    // The leading dot keeps the address below ours, whatever follows.
    let location = format!("./{}", form.get("back").unwrap_or(""));
    Some((cookie, location))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::HeaderValue;

    fn chosen(cookie: &'static str, accepted: &'static str) -> Language {
        let mut headers = HeaderMap::new();
        headers.insert(header::COOKIE, HeaderValue::from_static(cookie));
        headers.insert(header::ACCEPT_LANGUAGE, HeaderValue::from_static(accepted));
        language_of(&headers)
    }

    #[test]
    fn the_cookie_decides_before_the_browser() {
        use Language::{Chinese, English};
        for (cookie, accepted, expected) in [
            ("", "", English),
            ("", "zh-CN,zh;q=0.9,en;q=0.8", Chinese),
            ("", "ZH", Chinese),
            ("", "de,en;q=0.5,zh;q=0.4", English),
            ("", "de,en;q=0.5,zh;q=0.6", Chinese),
            ("", "zh;q=0", English),
            ("", "zh;q=x,en", English),
            ("", "*", English),
            ("lang=zh", "en", Chinese),
            ("a=b; lang=en; c=d", "zh", English),
            ("lang=xx", "zh", Chinese),
            ("language=en", "zh", Chinese),
        ] {
            assert_eq!(chosen(cookie, accepted), expected, "{cookie} {accepted}");
        }
    }

    #[test]
    fn a_page_knows_its_address() {
        let at = |target: &str| {
            let (path, query) = target.split_once('?').unwrap_or((target, ""));
            let page = PageRequest::new(path, query, &HeaderMap::new());
            (page.address, page.root)
        };
        let pair = |address: &str, root: &str| (address.to_owned(), root.to_owned());
        assert_eq!(at("/"), pair("", ""));
        assert_eq!(at("/?message=x&filter=a"), pair("?filter=a", ""));
        assert_eq!(at("/a/b/c?x"), pair("a/b/c?x", "../../"));
    }
}

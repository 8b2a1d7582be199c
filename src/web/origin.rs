//! Cross-site requests: a browser says which site a request comes from, other clients do not.

use axum::http::{HeaderMap, header};

/// Returns true if a request comes from a page of `host`, or from something that is not a browser.
pub fn is_own(headers: &HeaderMap, host: Option<&str>) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else {
        return true;
    };
    let site = origin.to_str().ok().and_then(|origin| {
        origin
            .strip_prefix("http://")
            .or_else(|| origin.strip_prefix("https://"))
    });
    site.is_some() && site == host
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_an_origin_then_only_the_host_itself_is_accepted() {
        for (origin, is_accepted) in [
            ("http://pi:8080", true),
            ("https://pi:8080", true),
            ("http://pi", false),
            ("http://evil.example.com", false),
            ("null", false),
        ] {
            let headers = HeaderMap::from_iter([(header::ORIGIN, origin.parse().unwrap())]);
            assert_eq!(is_own(&headers, Some("pi:8080")), is_accepted, "{origin}");
            assert!(!is_own(&headers, None), "{origin}");
        }
        assert!(is_own(&HeaderMap::new(), Some("pi:8080")));
    }
}

//! The gateway's own cookies pass through it in neither direction: an API does
//! not see who is signed in here, and cannot sign anybody in.

use http::{HeaderMap, HeaderValue, header};

/// What the names of all of them begin with (`user/cookie.rs`).
const OWN: &[u8] = b"__Host-flightgate-";

/// Takes them out of what a client sends. Mostly there are none.
pub(super) fn keep_from_upstream(headers: &mut HeaderMap) {
    let mentioned = |value: &HeaderValue| {
        value
            .as_bytes()
            .windows(OWN.len())
            .any(|it| it.eq_ignore_ascii_case(OWN))
    };
    if !headers.get_all(header::COOKIE).iter().any(mentioned) {
        return;
    }
    let others: Vec<_> = headers
        .get_all(header::COOKIE)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b';'))
        .map(<[u8]>::trim_ascii)
        .filter(|pair| !pair.is_empty() && !is_own(pair))
        .collect();
    let line = HeaderValue::from_bytes(&others.join(&b"; "[..]));
    match line {
        Ok(line) if !line.is_empty() => drop(headers.insert(header::COOKIE, line)),
        _ => drop(headers.remove(header::COOKIE)),
    }
}

/// Takes them out of what an upstream sets.
pub(super) fn keep_from_client(headers: &mut HeaderMap) {
    let set = headers.get_all(header::SET_COOKIE);
    if !set.iter().any(|value| is_own(value.as_bytes())) {
        return;
    }
    let others: Vec<_> = set
        .iter()
        .filter(|value| !is_own(value.as_bytes()))
        .cloned()
        .collect();
    headers.remove(header::SET_COOKIE);
    for other in others {
        headers.append(header::SET_COOKIE, other);
    }
}

/// Names of cookies with this prefix are compared without case by browsers.
fn is_own(pair: &[u8]) -> bool {
    let start = pair.trim_ascii_start();
    start
        .get(..OWN.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(OWN))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &header::HeaderName, values: &[&str]) -> HeaderMap {
        let value = |value: &&str| (name.clone(), HeaderValue::from_str(value).unwrap());
        values.iter().map(value).collect()
    }

    fn of(headers: &HeaderMap, name: &header::HeaderName) -> Vec<String> {
        let values = headers.get_all(name).iter();
        values.map(|it| it.to_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn an_api_gets_its_own_cookies_and_no_session_of_the_gateway() {
        for (sent, passed) in [
            (&["a=b; c=d"][..], &["a=b; c=d"][..]),
            (&["__Host-flightgate-session=x"], &[]),
            (&["a=b; __Host-flightgate-session=x; c=d"], &["a=b; c=d"]),
            (&["a=b", "__Host-flightgate-known=x;c=d"], &["a=b; c=d"]),
            (
                &["a=__Host-flightgate-session"],
                &["a=__Host-flightgate-session"],
            ),
        ] {
            let mut headers = headers(&header::COOKIE, sent);
            keep_from_upstream(&mut headers);
            assert_eq!(of(&headers, &header::COOKIE), passed, "{sent:?}");
        }
    }

    #[test]
    fn an_api_sets_its_own_cookies_and_no_session_of_the_gateway() {
        let sent = [
            "a=b; Path=/",
            "__host-Flightgate-session=x; Path=/; Secure",
            "c=d",
        ];
        let mut headers = headers(&header::SET_COOKIE, &sent);
        keep_from_client(&mut headers);
        assert_eq!(of(&headers, &header::SET_COOKIE), ["a=b; Path=/", "c=d"]);
    }
}

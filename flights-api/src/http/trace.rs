//! What happens around every request: its id, its line in the log, its problem.

use std::time::Instant;

use axum::extract::Request;
use axum::http::HeaderMap;
use axum::middleware::Next;
use axum::response::Response;
use tracing::Instrument;

use super::problem::Problem;

/// Runs a request inside a span with its id, renders the problem if it ended in
/// one, and logs a line. Neither the query nor any header gets into the log.
pub async fn trace(request: Request, next: Next) -> Response {
    let id = request_id(request.headers());
    let span = tracing::info_span!(
        "request",
        method = %request.method(),
        path = request.uri().path(),
        id = id.as_deref().unwrap_or_default(),
    );
    async move {
        let began = Instant::now();
        let mut response = next.run(request).await;
        if let Some(problem) = response.extensions_mut().remove::<Problem>() {
            tracing::debug!(?problem, "refused");
            let mut rendered = problem.render(id.as_deref());
            // The router has put its Allow header beside the note.
            for (name, value) in response.headers() {
                rendered
                    .headers_mut()
                    .entry(name)
                    .or_insert_with(|| value.clone());
            }
            *response.headers_mut() = std::mem::take(rendered.headers_mut());
            *response.body_mut() = rendered.into_body();
        }
        tracing::info!(
            status = response.status().as_u16(),
            ms = milliseconds(began),
            "answered"
        );
        response
    }
    .instrument(span)
    .await
}

fn milliseconds(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// The id that the gateway gave the request: up to 128 characters that cannot
/// break a log or a header. Any other is as good as none.
fn request_id(headers: &HeaderMap) -> Option<String> {
    let mut values = headers.get_all("x-request-id").iter();
    let (id, None) = (values.next()?.to_str().ok()?, values.next()) else {
        return None;
    };
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:/+=".contains(&byte);
    ((1..=128).contains(&id.len()) && id.bytes().all(is_plain)).then(|| id.to_owned())
}

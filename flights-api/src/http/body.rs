//! The file out of an upload's body, whichever way it was put in.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use axum::http::{HeaderMap, header};
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use multer::{Constraints, Multipart, SizeLimit};
use tokio::sync::OwnedSemaphorePermit;

use super::Uploads;
use super::problem::{Code, Problem};

/// How long a client may go without sending a byte.
const STALL: Duration = Duration::from_secs(30);

/// How long a whole body may take.
const TOTAL: Duration = Duration::from_mins(2);

/// Bytes of a refused upload that are read and dropped, at the most.
const DRAIN: usize = 64 << 20;

/// Bytes that the framing of a multipart body may have beside the file.
const FRAMING: u64 = 64 * 1024;

/// A file in memory, and the permit for the memory.
#[derive(Debug)]
pub struct File {
    /// The file.
    pub bytes: Bytes,
    /// Its share of [`Uploads::memory`]; given back when dropped.
    pub memory: OwnedSemaphorePermit,
}

/// Reads the file of an upload: a raw body, or the one part `file` of a form.
///
/// # Errors
/// A problem that says what was expected: 400, 408, 413 or 415; 503 if other
/// uploads fill the memory.
pub async fn file(headers: &HeaderMap, body: Body, uploads: &Uploads) -> Result<File, Problem> {
    let stream = body.into_data_stream();
    let boundary = match form_of_size(headers, uploads.max_bytes) {
        Ok(boundary) => boundary,
        Err(problem) => {
            drain(stream).await;
            return Err(problem);
        }
    };
    let file = async {
        match boundary {
            None => {
                let broke_off = |_: &axum::Error| broken("the body broke off");
                collect(stream, uploads, broke_off).await
            }
            Some(boundary) => part(stream, boundary, uploads).await,
        }
    };
    match tokio::time::timeout(TOTAL, file).await {
        Ok(file) => file,
        Err(_) => Err(Problem::new(
            Code::UploadStalled,
            "expected the whole body within two minutes",
        )),
    }
}

/// The boundary of a form, if the body is one; refuses what its head already
/// says to be no upload.
fn form_of_size(headers: &HeaderMap, limit: usize) -> Result<Option<String>, Problem> {
    if headers
        .get(header::CONTENT_ENCODING)
        .is_some_and(|encoding| encoding != "identity")
    {
        return Err(Problem::new(
            Code::UnsupportedMediaType,
            "expected a body without Content-Encoding",
        ));
    }
    let form = form(headers)?;
    let declared = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    let framing = if form.is_some() { FRAMING } else { 0 };
    if declared.is_some_and(|declared| declared > limit as u64 + framing) {
        return Err(too_large(limit));
    }
    Ok(form)
}

/// Reads and drops what the client still sends, within bounds: one that sends
/// before it listens would lose the refusal with the connection.
async fn drain(mut stream: BodyDataStream) {
    let all = async {
        let mut left = DRAIN;
        while let Some(Ok(chunk)) = stream.next().await {
            left = left.saturating_sub(chunk.len());
            if left == 0 {
                break;
            }
        }
    };
    // However it ended, the refusal is next.
    let _ = tokio::time::timeout(STALL, all).await;
}

/// The boundary, if the body is a form; none if it is the file itself.
fn form(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    const EXPECTED: &str = "expected the Content-Type application/vnd.fai.igc, text/plain or application/octet-stream \
                            (the file is the body), or multipart/form-data (the file is its part `file`)";
    let unsupported = || Problem::new(Code::UnsupportedMediaType, EXPECTED);
    let Some(value) = headers.get(header::CONTENT_TYPE) else {
        return Ok(None);
    };
    let value = value.to_str().map_err(|_| unsupported())?;
    let essence = value
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    match essence.as_str() {
        "application/vnd.fai.igc" | "text/plain" | "application/octet-stream" => Ok(None),
        "multipart/form-data" => multer::parse_boundary(value).map(Some).map_err(|_| {
            Problem::new(
                Code::InvalidUpload,
                "expected a boundary in the Content-Type of the form",
            )
        }),
        _ => Err(unsupported()),
    }
}

async fn part(
    stream: BodyDataStream,
    boundary: String,
    uploads: &Uploads,
) -> Result<File, Problem> {
    let limit = uploads.max_bytes;
    let sizes = SizeLimit::new().whole_stream(limit as u64 + FRAMING);
    let mut form =
        Multipart::with_constraints(stream, boundary, Constraints::new().size_limit(sizes));
    let mut file = None;
    while let Some(part) = unless_stalled(form.next_field())
        .await?
        .map_err(|error| in_form(&error, limit))?
    {
        match (part.name(), &file) {
            (Some("file"), None) => {
                file = Some(collect(part, uploads, |error| in_form(error, limit)).await?);
            }
            (Some("file"), Some(_)) => {
                return Err(broken("expected one part `file`, found several"));
            }
            _ => {
                return Err(broken(
                    "expected one part `file` and no other, found another",
                ));
            }
        }
    }
    file.ok_or_else(|| broken("expected one part `file`, found none"))
}

async fn collect<E>(
    mut stream: impl Stream<Item = Result<Bytes, E>> + Unpin,
    uploads: &Uploads,
    problem: impl Fn(&E) -> Problem,
) -> Result<File, Problem> {
    let mut file = Vec::new();
    let mut memory = reserve(uploads, 0)?;
    while let Some(chunk) = unless_stalled(stream.next()).await? {
        let chunk = chunk.map_err(|error| problem(&error))?;
        if file.len() + chunk.len() > uploads.max_bytes {
            return Err(too_large(uploads.max_bytes));
        }
        memory.merge(reserve(uploads, chunk.len())?);
        file.extend_from_slice(&chunk);
    }
    Ok(File {
        bytes: file.into(),
        memory,
    })
}

/// Memory for so many more bytes, at once or not at all: uploads that waited for
/// each other's memory would wait for ever.
fn reserve(uploads: &Uploads, bytes: usize) -> Result<OwnedSemaphorePermit, Problem> {
    let busy = || {
        Problem::new(
            Code::Busy,
            "other uploads fill the memory that is set aside for them",
        )
        .retry_after(1)
    };
    let bytes = u32::try_from(bytes).map_err(|_| busy())?;
    Arc::clone(&uploads.memory)
        .try_acquire_many_owned(bytes)
        .map_err(|_| busy())
}

async fn unless_stalled<T>(next: impl Future<Output = T>) -> Result<T, Problem> {
    tokio::time::timeout(STALL, next).await.map_err(|_| {
        Problem::new(
            Code::UploadStalled,
            "expected the body to go on; nothing came for 30 seconds",
        )
    })
}

fn in_form(error: &multer::Error, limit: usize) -> Problem {
    match error {
        multer::Error::StreamSizeExceeded { .. } | multer::Error::FieldSizeExceeded { .. } => {
            too_large(limit)
        }
        _ => broken("expected a form as RFC 7578 has it; this one cannot be read to its end"),
    }
}

fn too_large(limit: usize) -> Problem {
    Problem::new(
        Code::UploadTooLarge,
        format!("expected a file of at most {limit} bytes"),
    )
}

fn broken(detail: &str) -> Problem {
    Problem::new(Code::InvalidUpload, detail)
}

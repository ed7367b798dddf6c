//! What tells an open page that something on it has changed (WHATWG HTML §9.2).
//!
//! An event names a topic and says nothing else: the page reads itself again, with all that its session
//! may see by then. The stream ends with the session, and when the server stops.

use actix_web::HttpResponse;
use actix_web::http::header::CONTENT_TYPE;
use actix_web::web::Bytes;
use futures_util::stream;

use super::page;
use crate::service::live::Watch;

/// Milliseconds after which a cut stream is to be opened again.
const RETRY_MS: u64 = 2_000;

/// Tells what the watch tells, as long as `is_open` says that the session lasts.
pub(in crate::http) fn tell<F, Open>(watch: Watch, is_open: F) -> HttpResponse
where
    F: Fn() -> Open + 'static,
    Open: Future<Output = bool> + 'static,
{
    let opening = Bytes::from(format!("retry: {RETRY_MS}\n\n"));
    let chunks = stream::unfold((watch, is_open, Some(opening)), async |state| {
        let (mut watch, is_open, opening) = state;
        let chunk = match opening {
            Some(opening) => opening,
            None => {
                let topics = watch.next().await?;
                if !is_open().await {
                    return None;
                }
                Bytes::from(events(&topics))
            }
        };
        Some((Ok::<_, actix_web::Error>(chunk), (watch, is_open, None)))
    });
    let mut answer = HttpResponse::Ok();
    page::secure(&mut answer)
        .insert_header((CONTENT_TYPE, "text/event-stream"))
        // Proxies must not collect what is to arrive now.
        .insert_header(("X-Accel-Buffering", "no"))
        .streaming(Box::pin(chunks))
}

/// An event for each topic; without any a comment, which shows that the stream lives. A browser passes over
/// events without data.
fn events(topics: &[String]) -> String {
    if topics.is_empty() {
        return ":\n\n".to_owned();
    }
    topics.iter().map(|topic| format!("event: {topic}\ndata: changed\n\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_have_data_and_silence_is_a_comment() {
        assert_eq!(events(&[]), ":\n\n");
        let topics = ["events".to_owned(), "requests:dir_1".to_owned()];
        let text = "event: events\ndata: changed\n\nevent: requests:dir_1\ndata: changed\n\n";
        assert_eq!(events(&topics), text);
    }
}

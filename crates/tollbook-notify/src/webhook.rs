//! One request to where a channel is: no redirects, an answer of which little is read, over a
//! connection of its own.

use crate::connect::{connect, resolve};
use crate::send::Failed;
use http::uri::Scheme;
use http::{HeaderValue, Request, Response, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::rt::{Read, Write};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use std::sync::Arc;
use std::time::Duration;
use tokio_rustls::TlsConnector;

/// Bytes of an answer that are read: so that a short one does not end in a reset connection.
const ANSWER_BYTES_MAX: usize = 4_096;
/// How long they are waited for.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(2);

/// Sends JSON there. The answer's status, and how long it wants to be left alone.
pub async fn post(
    tls: &Arc<ClientConfig>,
    url: &Uri,
    allow_private: bool,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
) -> Result<(StatusCode, Option<Duration>), Failed> {
    let is_tls = url.scheme() == Some(&Scheme::HTTPS);
    let host = url.host().unwrap_or_default();
    let port = url.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
    let stream = connect(&resolve(host, port, allow_private).await?).await?;
    let request = request(url, headers, body)?;
    if !is_tls {
        return exchange(TokioIo::new(stream), request).await;
    }
    let name = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let name = ServerName::try_from(name).map_err(|_| Failed::for_good("the host's name is none for TLS"))?;
    let stream = TlsConnector::from(tls.clone()).connect(name, stream).await;
    let stream = stream.map_err(|_| Failed::again("TLS failed: the host's certificate is not trusted"))?;
    exchange(TokioIo::new(stream), request).await
}

fn request(
    url: &Uri,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
) -> Result<Request<Full<Bytes>>, Failed> {
    let path = url.path_and_query().map_or("/", |path| path.as_str());
    let host = url.authority().map_or("", |authority| authority.as_str());
    let mut request = Request::post(path)
        .header(header::HOST, host)
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::USER_AGENT, concat!("tollbook/", env!("CARGO_PKG_VERSION")))
        .header(header::CONNECTION, HeaderValue::from_static("close"));
    for (name, value) in headers {
        request = request.header(name, value);
    }
    request.body(Full::from(body)).map_err(|_| Failed::for_good("the request cannot be written"))
}

async fn exchange<T>(
    stream: T,
    request: Request<Full<Bytes>>,
) -> Result<(StatusCode, Option<Duration>), Failed>
where
    T: Read + Write + Unpin + Send + 'static,
{
    let broken = |_| Failed::again("the connection broke");
    let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await.map_err(broken)?;
    // It ends with the sender, or by itself.
    let driver = tokio::spawn(connection);
    let answer = sender.send_request(request).await;
    let answered = match answer {
        Ok(answer) => Ok(read(answer).await),
        Err(error) => Err(broken(error)),
    };
    driver.abort();
    answered
}

async fn read(answer: Response<Incoming>) -> (StatusCode, Option<Duration>) {
    let after = answer.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
    let after = after.and_then(|text| text.trim().parse().ok()).map(Duration::from_secs);
    let (status, mut body) = (answer.status(), answer.into_body());
    let rest = async {
        let mut left = ANSWER_BYTES_MAX;
        while left > 0
            && let Some(Ok(frame)) = body.frame().await
        {
            left = left.saturating_sub(frame.data_ref().map_or(0, Bytes::len));
        }
    };
    // The status has said it: what follows it, or does not, changes nothing.
    let _ = tokio::time::timeout(ANSWER_TIME_MAX, rest).await;
    (status, after)
}

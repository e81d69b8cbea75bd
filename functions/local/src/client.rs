//! One HTTP/1.1 request to a loopback server.

use std::io;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// Sends `request`, whose URI has a path only, to `http://HOST:PORT` and reads the whole answer.
///
/// # Errors
/// When the endpoint is no such URL, does not answer, or breaks off.
pub(crate) async fn send(
    endpoint: &str,
    request: Request<Full<Bytes>>,
) -> io::Result<Response<Bytes>> {
    let authority = authority(endpoint)?;
    let stream = TcpStream::connect(authority).await?;
    stream.set_nodelay(true)?;
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    let connection = tokio::spawn(connection);
    let answer = async {
        let (parts, body) = sender.send_request(request).await?.into_parts();
        let body = body.collect().await?.to_bytes();
        Ok(Response::from_parts(parts, body))
    };
    let answer = answer.await.map_err(|error: hyper::Error| io::Error::other(error));
    connection.abort();
    answer
}

/// `HOST:PORT` of `http://HOST:PORT`.
pub(crate) fn authority(endpoint: &str) -> io::Result<&str> {
    let rest = endpoint.strip_prefix("http://").map(|rest| rest.trim_end_matches('/'));
    rest.filter(|rest| !rest.is_empty() && !rest.contains('/')).ok_or_else(|| {
        io::Error::new(io::ErrorKind::InvalidInput, format!("`{endpoint}` is not http://HOST:PORT"))
    })
}

//! The admin function's page in a browser, as CloudWatch shows it on a dashboard, on loopback.

#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};

use crate::function::Function;
use crate::runtime_api::InvocationResult;

type Answer = Response<Full<Bytes>>;

/// The page, until it is dropped.
pub(crate) struct Page {
    address: SocketAddr,
    server: JoinHandle<()>,
}

impl Drop for Page {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Page {
    /// Listens on a free port of 127.0.0.1.
    ///
    /// # Errors
    /// When no port can be had.
    pub(crate) async fn start(admin: Arc<Function>) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let server = tokio::spawn(serve(listener, address, admin));
        Ok(Self { address, server })
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/", self.address)
    }
}

async fn serve(listener: TcpListener, address: SocketAddr, admin: Arc<Function>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        let admin = Arc::clone(&admin);
        connections.spawn(async move {
            let service = service_fn(move |request: Request<_>| {
                let admin = Arc::clone(&admin);
                let asked = asked(&request, address);
                async move { Ok::<_, Infallible>(answer(&admin, asked).await) }
            });
            // A browser that goes away ends the connection.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

/// What is shown.
#[derive(Debug, PartialEq, Eq)]
struct PageRequest {
    dark: bool,
    payload: Value,
}

/// What a request asks the admin function for, or why it is not asked.
fn asked<B>(request: &Request<B>, address: SocketAddr) -> Result<PageRequest, StatusCode> {
    // Another site's name that leads here would let its page read this one.
    let host = request.headers().get(HOST).and_then(|host| host.to_str().ok());
    if host != Some(address.to_string().as_str())
        && host != Some(format!("localhost:{}", address.port()).as_str())
    {
        return Err(StatusCode::MISDIRECTED_REQUEST);
    }
    if request.method() != Method::GET {
        return Err(StatusCode::METHOD_NOT_ALLOWED);
    }
    let query = request.uri().query().unwrap_or_default();
    let field = |name: &str| {
        let mut fields = query.split('&').filter_map(|field| field.split_once('='));
        let value = fields.find(|(known, _)| *known == name)?.1;
        Some(percent_decode_str(value).decode_utf8_lossy().into_owned())
    };
    let dark = field("theme").as_deref() == Some("dark");
    let context = json!({ "theme": if dark { "dark" } else { "light" } });
    let payload = match request.uri().path() {
        "/" => json!({ "widgetContext": context, "plainLinks": true }),
        "/explain" => json!({
            "action": "explain",
            "serviceAccount": field("serviceAccount").ok_or(StatusCode::BAD_REQUEST)?,
            "widget": true,
            "widgetContext": context,
        }),
        _ => return Err(StatusCode::NOT_FOUND),
    };
    Ok(PageRequest { dark, payload })
}

async fn answer(admin: &Function, asked: Result<PageRequest, StatusCode>) -> Answer {
    let PageRequest { dark, payload } = match asked {
        Ok(asked) => asked,
        Err(status) => {
            let mut answer = Answer::default();
            *answer.status_mut() = status;
            return answer;
        }
    };
    match admin.invoke(payload.to_string()).await {
        Ok(InvocationResult::Answer(Value::String(html))) => document(dark, &html),
        Ok(other) => refuse(&format!("the admin function did not answer with a page: {other:?}")),
        Err(error) => refuse(&error.to_string()),
    }
}

/// A document around what CloudWatch puts into a dashboard.
fn document(dark: bool, html: &str) -> Answer {
    let (scheme, ground) = if dark { ("dark", "#0f1b2a") } else { ("light", "#ffffff") };
    let document = format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"/>\
         <meta name=\"viewport\" content=\"width=device-width\"/><title>Pod identities</title>\
         <style>body{{margin:0 auto;max-width:1400px;color-scheme:{scheme};background:{ground}}}</style>\
         </head><body>{html}</body></html>\n"
    );
    let mut answer = Response::new(Full::from(document));
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    // As CloudWatch: no script, and nothing from elsewhere.
    let policy = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'";
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    answer
}

fn refuse(why: &str) -> Answer {
    let mut answer = Response::new(Full::from(why.to_owned()));
    *answer.status_mut() = StatusCode::BAD_GATEWAY;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    answer
}

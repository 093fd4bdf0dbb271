//! Where an upstream is, taken apart once.

use crate::upstream::Upstream;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderValue, Uri};
use rustls::pki_types::ServerName;

/// What is wrong with a base URL.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TargetError {
    #[error("is no URL: {0}")]
    Url(#[from] http::uri::InvalidUri),
    #[error("has to begin with http:// or https:// and a host")]
    Scheme,
    #[error("names a host that TLS cannot ask for")]
    Host,
}

/// Where an upstream is.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub scheme: Scheme,
    pub authority: Authority,
    /// The host without brackets.
    pub host: String,
    pub port: u16,
    /// The `host` header.
    pub header: HeaderValue,
    /// What stands in front of every path; it has no slash at its end.
    prefix: String,
    /// Whom the certificate must name; absent without TLS.
    pub server: Option<ServerName<'static>>,
}

impl Target {
    pub fn of(upstream: &Upstream) -> Result<Target, TargetError> {
        let url: Uri = upstream.base_url.parse()?;
        let (Some(scheme), Some(authority)) = (url.scheme().cloned(), url.authority().cloned()) else {
            return Err(TargetError::Scheme);
        };
        let is_tls = match scheme.as_str() {
            "http" => false,
            "https" => true,
            _ => return Err(TargetError::Scheme),
        };
        // Who carries a name and a password in it would hand them to the upstream's logs.
        if authority.as_str().contains('@') {
            return Err(TargetError::Scheme);
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let server = if is_tls {
            Some(ServerName::try_from(host.clone()).map_err(|_| TargetError::Host)?)
        } else {
            None
        };
        Ok(Target {
            port: authority.port_u16().unwrap_or(if is_tls { 443 } else { 80 }),
            header: HeaderValue::from_str(authority.as_str()).map_err(|_| TargetError::Host)?,
            prefix: url.path().trim_end_matches('/').to_owned(),
            scheme,
            authority,
            host,
            server,
        })
    }

    /// The path and query there of what follows an upstream's name here.
    pub fn path(&self, rest: &str) -> Result<PathAndQuery, http::uri::InvalidUri> {
        if self.prefix.is_empty() {
            PathAndQuery::try_from(rest)
        } else {
            PathAndQuery::try_from(format!("{}{rest}", self.prefix))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(base_url: &str) -> Result<Target, TargetError> {
        let upstream = crate::upstream::built_in(&|_| None).remove(0);
        Target::of(&Upstream { base_url: base_url.to_owned(), ..upstream })
    }

    #[test]
    fn a_base_url_is_taken_apart() {
        let plain = target("http://127.0.0.1:8080").unwrap();
        assert_eq!((plain.port, plain.server.is_none(), plain.host.as_str()), (8080, true, "127.0.0.1"));
        assert_eq!(plain.path("/v1/x?a=b").unwrap().as_str(), "/v1/x?a=b");
        let below = target("https://host.example/some/where/").unwrap();
        assert_eq!((below.port, below.server.is_some()), (443, true));
        assert_eq!(below.path("/v1").unwrap().as_str(), "/some/where/v1");
        assert_eq!(target("http://[::1]:9").unwrap().host, "::1");
        for wrong in ["", "host:80", "ftp://host", "http://user:secret@host", "/path"] {
            assert!(target(wrong).is_err(), "{wrong}");
        }
    }
}

//! A connection to where a channel is: the address that is connected to is the one that was checked.

use crate::address::is_public;
use crate::send::Failed;
use std::net::SocketAddr;
use tokio::net::TcpStream;

/// Addresses of one name that are looked at.
const ADDRESSES_MAX: usize = 16;

/// The addresses of a host that may be connected to. A name with one that may not be is refused
/// altogether: it is either a mistake or an attempt.
pub async fn resolve(host: &str, port: u16, allow_private: bool) -> Result<Vec<SocketAddr>, Failed> {
    // A literal address of IPv6 stands in brackets.
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let found = tokio::net::lookup_host((host, port)).await;
    let found = found.map_err(|_| Failed::again("the host's name is not known"))?;
    let addresses: Vec<SocketAddr> = found.take(ADDRESSES_MAX).collect();
    if addresses.is_empty() {
        return Err(Failed::again("the host's name has no address"));
    }
    if !allow_private && addresses.iter().any(|address| !is_public(address.ip())) {
        return Err(Failed::for_good(
            "the host is on this machine or in a private network, and the channel does not say allow_private",
        ));
    }
    Ok(addresses)
}

/// A connection to the first of these that takes one.
pub async fn connect(addresses: &[SocketAddr]) -> Result<TcpStream, Failed> {
    for address in addresses {
        if let Ok(stream) = TcpStream::connect(address).await {
            return Ok(stream);
        }
    }
    Err(Failed::again("the host takes no connection"))
}

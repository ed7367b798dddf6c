//! A line to a server that is cut in the middle.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};

/// A port that leads to the server. Once so many bytes have come from it, `end` ends it, and the rest
/// does not arrive.
pub(super) fn after(bytes: usize, server: SocketAddr, end: impl Fn() + Send + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    std::thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            if let Ok(upstream) = TcpStream::connect(server) {
                relay(client, upstream, bytes, &end);
            }
        }
    });
    port
}

fn relay(mut client: TcpStream, mut upstream: TcpStream, bytes: usize, end: &impl Fn()) {
    let (mut from, mut to) =
        (client.try_clone().expect("a stream"), upstream.try_clone().expect("a stream"));
    let sender = std::thread::spawn(move || {
        let _ = std::io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Write);
    });
    let (mut buffer, mut seen) = ([0; 4096], 0);
    while let Ok(count @ 1..) = upstream.read(&mut buffer) {
        seen += count;
        if seen >= bytes {
            end();
            break;
        }
        if client.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    let _ = client.shutdown(Shutdown::Both);
    let _ = upstream.shutdown(Shutdown::Both);
    let _ = sender.join();
}

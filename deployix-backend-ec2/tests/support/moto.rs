//! The server of moto, the public mock of AWS.

use std::{
    io::{Read, Write},
    net::TcpStream,
};

/// Where it listens.
pub(crate) fn server() -> String {
    std::env::var("DEPLOYIX_MOTO").expect("DEPLOYIX_MOTO names no moto server: run scripts/test")
}

/// Puts a bucket, or an object into one, which nobody has to sign there.
pub(crate) fn put(path: &str, body: &[u8]) {
    let server = server();
    let address = server.strip_prefix("http://").unwrap();
    let mut connection = TcpStream::connect(address).unwrap();
    let head = format!(
        "PUT /{path} HTTP/1.1\r\nHost: {address}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    connection.write_all(&[head.as_bytes(), body].concat()).unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

//! A keep-alive HTTP client that costs as little as it can: it shares the two cores.

use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::io::Write;
use std::net::SocketAddr;
use std::net::TcpStream;

pub struct Client {
    stream: BufReader<TcpStream>,
    out: Vec<u8>,
    pub body: Vec<u8>,
}

impl Client {
    pub fn new(addr: SocketAddr) -> Self {
        let stream = TcpStream::connect(addr).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream: BufReader::with_capacity(1 << 16, stream), out: Vec::new(), body: Vec::new() }
    }

    /// Sends one request and reads the answer into `body`; answers the status.
    pub fn post(&mut self, head: &str, body: &[u8]) -> u16 {
        self.send(head, body);
        self.answer()
    }

    pub fn send(&mut self, head: &str, body: &[u8]) {
        self.out.clear();
        write!(self.out, "{head}content-length: {}\r\n\r\n", body.len()).unwrap();
        self.out.extend_from_slice(body);
        self.stream.get_mut().write_all(&self.out).unwrap();
    }

    pub fn answer(&mut self) -> u16 {
        let mut line = String::new();
        self.stream.read_line(&mut line).unwrap();
        let status = line.split(' ').nth(1).unwrap().parse().unwrap();
        let mut length = 0;
        loop {
            line.clear();
            self.stream.read_line(&mut line).unwrap();
            let line = line.trim_end();
            if line.is_empty() {
                break;
            }
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse().unwrap();
            }
        }
        self.body.resize(length, 0);
        self.stream.read_exact(&mut self.body).unwrap();
        status
    }
}

/// The fixed part of a request.
pub fn head(path: &str, media: &str, token: Option<&str>) -> String {
    let token = token.map_or_else(String::new, |t| format!("authorization: Bearer {t}\r\n"));
    format!("POST {path} HTTP/1.1\r\nhost: bench\r\ncontent-type: {media}\r\n{token}")
}

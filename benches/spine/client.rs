//! Keep-alive HTTP clients that cost as little as they can: they share the two cores.

use std::io::BufRead;
use std::io::BufReader;
use std::io::ErrorKind;
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
        request(&mut self.out, head, body);
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

/// One of many connections that one thread serves: it never waits for one of them.
pub struct Turn {
    stream: mio::net::TcpStream,
    out: Vec<u8>,
    got: Vec<u8>,
}

impl Turn {
    pub fn new(addr: SocketAddr, registry: &mio::Registry, token: mio::Token) -> Self {
        let stream = TcpStream::connect(addr).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_nonblocking(true).unwrap();
        let mut stream = mio::net::TcpStream::from_std(stream);
        registry.register(&mut stream, token, mio::Interest::READABLE).unwrap();
        Self { stream, out: Vec::new(), got: Vec::new() }
    }

    /// A request fits into the socket's buffer: nothing was sent before that is not answered.
    pub fn send(&mut self, head: &str, body: &[u8]) {
        request(&mut self.out, head, body);
        self.stream.write_all(&self.out).unwrap();
    }

    /// The status, once the whole answer has come.
    pub fn answer(&mut self) -> Option<u16> {
        let mut piece = [0u8; 4096];
        match self.stream.read(&mut piece) {
            Ok(0) => panic!("the server hung up"),
            Ok(n) => self.got.extend_from_slice(&piece[..n]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return None,
            Err(error) => panic!("{error}"),
        }
        let blank = self.got.windows(4).position(|w| w == b"\r\n\r\n")?;
        let head = std::str::from_utf8(&self.got[..blank]).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let mut lengths = head.lines().filter_map(|line| line.split_once(':'));
        let (_, length) = lengths.find(|(name, _)| name.eq_ignore_ascii_case("content-length")).unwrap();
        let whole = blank + 4 + length.trim().parse::<usize>().unwrap();
        assert!(self.got.len() <= whole, "more than was asked for");
        (self.got.len() == whole).then(|| {
            self.got.clear();
            status
        })
    }
}

fn request(out: &mut Vec<u8>, head: &str, body: &[u8]) {
    out.clear();
    write!(out, "{head}content-length: {}\r\n\r\n", body.len()).unwrap();
    out.extend_from_slice(body);
}

/// The fixed part of a request.
pub fn head(path: &str, media: &str, token: Option<&str>) -> String {
    let token = token.map_or_else(String::new, |t| format!("authorization: Bearer {t}\r\n"));
    format!("POST {path} HTTP/1.1\r\nhost: bench\r\ncontent-type: {media}\r\n{token}")
}

// Finds the links of chat.txt, a message a line, and of mail.txt, a text of its
// own, in the directory given, and prints for each: name, MB/s, links.
use linkify::{LinkFinder, LinkKind};
use std::time::{Duration, Instant};

fn main() {
    let dir = std::env::args().nth(1).expect("usage: rust-linkify DIRECTORY");
    let chat = std::fs::read_to_string(format!("{dir}/chat.txt")).unwrap();
    let mail = std::fs::read_to_string(format!("{dir}/mail.txt")).unwrap();
    measure("chat_60B", &chat.lines().collect::<Vec<_>>());
    measure("mail_100KB", &[&mail]);
}

fn measure(name: &str, texts: &[&str]) {
    let mut finder = LinkFinder::new();
    finder.kinds(&[LinkKind::Url]);
    finder.url_must_have_scheme(false); // www. and bare hosts too, as ours
    let size: usize = texts.iter().map(|t| t.len()).sum();
    // The best of many short runs, on either side: what else runs on the
    // machine spoils some of them, not all.
    let mut best = 0f64;
    let mut links = 0;
    for _ in 0..100 {
        let start = Instant::now();
        let mut rounds = 0;
        while start.elapsed() < Duration::from_millis(10) {
            links = 0;
            for text in texts {
                for link in finder.links(text) {
                    links += 1;
                    std::hint::black_box(link.as_str());
                }
            }
            rounds += 1;
        }
        let speed = (size * rounds) as f64 / start.elapsed().as_secs_f64() / 1e6;
        best = best.max(speed);
    }
    println!("{name} {best:.0} {links}");
}

//! Writing events. Data goes out as one `data` line for each of its lines, whatever ends them, so no
//! byte of it can begin another field or event.

use super::event::{Event, Line, split_line};

/// Appends `event` with other data, and with another id where one is given. Its type, retry time and comments
/// stay in their order; fields that clients ignore are left out, and lines end with LF. An event without data
/// stays one if none is given.
pub fn rewrite(out: &mut Vec<u8>, event: &Event<'_>, id: Option<&[u8]>, data: Option<&[u8]>) {
    let mut written = data.is_none();
    for line in event.lines() {
        match line {
            Line::Known { name: b"id", .. } if id.is_some() => write_id(out, id.unwrap_or_default()),
            Line::Known { line, .. } | Line::Comment(line) => {
                out.extend_from_slice(line);
                out.push(b'\n');
            }
            Line::Data(_) if !written => {
                write_data(out, data.unwrap_or_default());
                written = true;
            }
            Line::Data(_) | Line::Unknown => {}
        }
    }
    if !written {
        write_data(out, data.unwrap_or_default());
    }
    out.push(b'\n');
}

/// An id is one line: what would end it ends the id.
fn write_id(out: &mut Vec<u8>, id: &[u8]) {
    let (line, _) = split_line(id).unwrap_or_default();
    out.extend_from_slice(b"id: ");
    out.extend_from_slice(line);
    out.push(b'\n');
}

/// Appends an event of no type and no id: a message.
pub fn write_message(out: &mut Vec<u8>, data: &[u8]) {
    write_data(out, data);
    out.push(b'\n');
}

fn write_data(out: &mut Vec<u8>, data: &[u8]) {
    let mut rest = data;
    loop {
        let (line, tail) = split_line(rest).unwrap_or_default();
        out.extend_from_slice(b"data: ");
        out.extend_from_slice(line);
        out.push(b'\n');
        // A line end that ends the data is followed by one more, empty, line.
        let ended = line.len() < rest.len() && tail.is_empty();
        if tail.is_empty() && !ended {
            return;
        }
        rest = tail;
    }
}

/// Appends a message event with what it has of an id and a retry time. Without data it is an event that only sets them.
pub fn write_event(out: &mut Vec<u8>, id: Option<&str>, retry_ms: Option<u64>, data: &[u8]) {
    if let Some(id) = id {
        write_id(out, id.as_bytes());
    }
    if let Some(retry_ms) = retry_ms {
        out.extend_from_slice(format!("retry: {retry_ms}\n").as_bytes());
    }
    write_data(out, data);
    out.push(b'\n');
}

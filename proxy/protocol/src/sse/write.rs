//! Writing events. Data goes out as one `data` line for each of its lines, whatever ends them, so no
//! byte of it can begin another field or event.

use super::event::{Event, Line, split_line};

/// Appends `event` with other data. Its id, type, retry time and comments stay in their order; fields
/// that clients ignore are left out, and lines end with LF.
pub fn rewrite(out: &mut Vec<u8>, event: &Event<'_>, data: &[u8]) {
    let mut written = false;
    for line in event.lines() {
        match line {
            Line::Known { line, .. } | Line::Comment(line) => {
                out.extend_from_slice(line);
                out.push(b'\n');
            }
            Line::Data(_) if !written => {
                write_data(out, data);
                written = true;
            }
            Line::Data(_) | Line::Unknown => {}
        }
    }
    if !written {
        write_data(out, data);
    }
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

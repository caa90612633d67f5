//! A tool that is read is what `serde_json` reads, its canonical form is its own, and nothing that is shown hides anything.

#![no_main]

use libfuzzer_sys::fuzz_target;
use mcpg_protocol::Limits;
use mcpg_protocol::definition::{Definition, MEMBERS, ToolText, diff, printable, visible_json};

fuzz_target!(|text: &str| {
    let limits = Limits::default();
    let Ok(read) = ToolText::read(text, &limits) else { return };
    let definition = &read.definition;
    let mut value: serde_json::Value = serde_json::from_str(text).expect("what is read is JSON");
    value.as_object_mut().expect("a tool is an object").retain(|key, _| MEMBERS.contains(&key.as_str()));
    let again: serde_json::Value = serde_json::from_str(definition.as_str()).expect("it is JSON");
    assert_eq!(again, value);
    for same in [definition.as_str(), &visible_json(definition.as_str())] {
        assert_eq!(Definition::read(same, &limits).as_ref(), Ok(definition));
    }
    assert!(diff(definition, definition, 4, &limits).changes.is_empty());
    assert!(!printable(text, 200).contains(char::is_control));
    assert!(read.hidden.iter().all(|found| !found.to_string().contains(char::is_control)));
});

//! Every sample configuration in `examples/` is right, and the seeds' own samples get the answer they should.

use std::fs;
use std::path::{Path, PathBuf};

use mcpg_config::Config;

#[test]
fn every_example_is_accepted_without_a_warning() {
    let mut files = Vec::new();
    collect(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/examples")), &mut files);
    for expected in
        ["minimal.yaml", "quickstart.yaml", "production.yaml", "signed-plugins.yaml", "tenants.yaml"]
    {
        assert!(files.iter().any(|file| file.ends_with(expected)), "{expected} is missing");
    }
    for file in files {
        let name = file.display().to_string();
        let base_dir = file.parent().unwrap();
        let config =
            Config::with_files(&fs::read(&file).unwrap(), &name, base_dir, &|path| fs::read(path), &[]);
        let config = config.unwrap_or_else(|diagnostics| panic!("{diagnostics}"));
        assert_eq!(config.warnings(), [], "{name}");
    }
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for path in fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()) {
        match path.extension().and_then(|extension| extension.to_str()) {
            _ if path.is_dir() => collect(&path, files),
            // A table for `mcpg policy test`.
            _ if path.ends_with("cases.yaml") => {}
            Some("yaml" | "yml") => files.push(path),
            _ => {}
        }
    }
}

/// The documented example says of each key what it is, so it must name every key that there is.
#[test]
fn the_production_example_names_every_key() {
    let text = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/production.yaml")).unwrap();
    let schema = mcpg_config::schema(&[]);
    let definitions = schema["$defs"].as_object().unwrap().values().chain([&schema]);
    for key in definitions
        .filter_map(|definition| definition.get("properties")?.as_object())
        .flat_map(|keys| keys.keys())
    {
        assert!(text.contains(&format!("{key}:")), "`{key}` is not in production.yaml");
    }
}

/// The same holds for the reference, with every default and range.
#[test]
fn the_reference_names_every_key() {
    let text = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/CONFIGURATION.md")).unwrap();
    let schema = mcpg_config::schema(&[]);
    let definitions = schema["$defs"].as_object().unwrap().values().chain([&schema]);
    for (key, member) in
        definitions.filter_map(|definition| definition.get("properties")?.as_object()).flatten()
    {
        let rows: Vec<&str> = text.lines().filter(|line| line.starts_with(&format!("| `{key}`"))).collect();
        assert!(!rows.is_empty(), "`{key}` is not in docs/CONFIGURATION.md");
        let numbers = ["default", "minimum", "maximum"]
            .map(|keyword| member.get(keyword).filter(|value| value.is_u64()));
        for number in numbers.into_iter().flatten().map(ToString::to_string) {
            let stated =
                rows.iter().any(|row| row.split(|c: char| !c.is_ascii_digit()).any(|word| word == number));
            let unsigned_zero = number == "0" && member.get("maximum").is_none();
            assert!(stated || unsigned_zero, "docs/CONFIGURATION.md: `{key}` does not state {number}");
        }
    }
}

#[test]
fn the_samples_of_the_product_articles_get_a_defined_answer() {
    const BINDING: &str = "bindings: [{ id: files, type: mcp, url: 'http://127.0.0.1:3001/mcp' }]\n";
    let check = |sample: &str, refusal: Option<&str>| {
        let with_binding =
            if sample.contains("bindings:") { sample.to_owned() } else { format!("{sample}{BINDING}") };
        match Config::from_yaml(with_binding.as_bytes(), "f", Path::new("")) {
            Ok(_) => assert_eq!(refusal, None, "{sample}"),
            Err(diagnostics) => assert_eq!(Some(diagnostics.to_string().as_str()), refusal, "{sample}"),
        }
    };
    check(
        "plugins:\n- id: api-keys\n  config:\n    tokens:\n    - $secret://vault/kv/data/mcpg/api-keys/prod#token\n",
        None,
    );
    check("tenancy:\n  subdomain_routing:\n    enabled: true\n    suffix: mcpg.dev\n", None);
    check(
        "bindings:\n- id: github\n  type: http\n  base_url: https://api.github.com\n  tls:\n    pin_cert_sha256: a8f7b3...\n",
        Some(
            "f:3:9: bindings of type `http` are not in this build: the gateway serves `mcp` bindings; remove the binding, \
             or put an MCP server in front of it and bind that with `type: mcp` and `url`",
        ),
    );
    // The key is elided in the article.
    check(
        "plugins:\n  require_signed: true\n  trusted_keys:\n  - id: prod-signing-key\n    public_key: |\n      \
         -----BEGIN PUBLIC KEY-----\n      MCowBQYDK2VwAyEA...\n      -----END PUBLIC KEY-----\n",
        Some("f:6:7: this is not a complete Ed25519 public key"),
    );
    // The plugins of the `MCPGPluginSet`.
    check(
        "plugins:\n- id: identity.oidc\n- id: policy.cedar\n  config:\n    bundle: oci://policies.acme.com/platform-team:1.0\n\
         - id: reliability.rate-limit\n- id: observability.audit\n",
        None,
    );
}

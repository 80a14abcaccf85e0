//! Prints what a URL answers, by reqwest, which trusts by the first argument.
use reqwest::blocking::Client;
use rustls_platform_verifier::ConfigVerifierExt;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let builder = Client::builder();
    let client = match arguments[1].as_str() {
        "native-tls" => builder.use_native_tls(),
        "native-roots" => builder
            .use_rustls_tls()
            .tls_built_in_root_certs(false)
            .tls_built_in_native_certs(true),
        "webpki-roots" => builder
            .use_rustls_tls()
            .tls_built_in_root_certs(false)
            .tls_built_in_webpki_certs(true),
        "platform-verifier" => {
            rustls::crypto::ring::default_provider().install_default().ok();
            builder.use_preconfigured_tls(rustls::ClientConfig::with_platform_verifier()?)
        }
        other => return Err(format!("no roots called {other}").into()),
    }
    .build()?;
    print!("{}", client.get(&arguments[2]).send()?.error_for_status()?.text()?);
    Ok(())
}

//! Files encrypted with age (<https://age-encryption.org/v1>).

use std::{error::Error, fs::File, io::BufReader, path::Path};

use age::{Decryptor, IdentityFile, armor::ArmoredReader};
use zeroize::Zeroizing;

use super::bounded;

/// The content of a file, by one of the identities of another file.
pub(super) fn decrypt(path: &Path, identity: Option<&Path>) -> Result<Zeroizing<Vec<u8>>, String> {
    let Some(identity) = identity else {
        return Err("no identity is known to decrypt it with".to_owned());
    };
    let shown = identity.display();
    let metadata = identity.metadata().map_err(|error| {
        format!(
            "the identity `{shown}` to decrypt it with cannot be read: {error}; name its file in \
             DEPLOYIX_IDENTITY"
        )
    })?;
    if !metadata.is_file() {
        return Err(format!("the identity `{shown}` is no file"));
    }
    // The error could quote what stands in the file.
    let unfit = |_| format!("the identity file `{shown}` holds no identities of age");
    let file = File::open(identity)
        .map_err(|error| format!("the identity `{shown}` cannot be read: {error}"))?;
    let identities = IdentityFile::from_buffer(BufReader::new(file)).map_err(unfit)?;
    let identities = identities
        .into_identities()
        .map_err(|_| format!("the identities of `{shown}` cannot be used"))?;
    if identities.is_empty() {
        return Err(format!("the identity file `{shown}` is empty"));
    }

    if !path.metadata().map_err(|error| format!("cannot read it: {error}"))?.is_file() {
        return Err("it is no file".to_owned());
    }
    let file = File::open(path).map_err(|error| format!("cannot read it: {error}"))?;
    let length = file.metadata().map_or(0, |metadata| metadata.len());
    let failed = |error: &dyn Error| {
        let error = error.to_string();
        // Some of age's messages are several lines; the first one says it.
        let line = error.lines().next().unwrap_or_default().trim_end_matches('.').to_owned();
        format!("it cannot be decrypted by the identity `{shown}`: {line}")
    };
    let decryptor = Decryptor::new_buffered(ArmoredReader::new(BufReader::new(file)))
        .map_err(|e| failed(&e))?;
    let identities = identities.iter().map(|identity| &**identity as &dyn age::Identity);
    let reader = decryptor.decrypt(identities).map_err(|error| failed(&error))?;
    bounded(reader, length).map_err(|error| failed(&error))
}

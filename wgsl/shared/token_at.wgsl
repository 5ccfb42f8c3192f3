// Tokens that the host names or that sampling/choose has chosen.

fn token_at(i: u32) -> u32 {
    let token = tokens[i];
    if (token >> 31u) != 0u {
        return chosen[token & 0x7fffffffu];
    }
    return token;
}

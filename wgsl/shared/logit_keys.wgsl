// Logits as whole numbers in the same order.

// Larger for larger logits; 0 for what cannot be chosen: nan and minus infinity.
fn logit_key(bits: u32) -> u32 {
    let negative = (bits >> 31u) != 0u;
    let unusable = (bits & 0x7fffffffu) > 0x7f800000u || bits == 0xff800000u;
    return select(select(bits | 0x80000000u, ~bits, negative), 0u, unusable);
}

// The bits of the logit of a key that is not 0.
fn logit_bits(key: u32) -> u32 {
    return select(~key, key & 0x7fffffffu, (key >> 31u) != 0u);
}

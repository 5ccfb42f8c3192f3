// The scale of the codes of 32 activations: max|x| / 127 (wide codes: / 256). Units below 1e-30 become zeros, one that is
// not finite gets the scale nan.

// What values are multiplied with to become codes of 8 bits, 0 for a unit of zeros; and the scale. `bits` are those of the
// largest magnitude.
fn unit_scale(bits: u32) -> vec2<f32> {
    let largest = bitcast<f32>(bits);
    let finite = bits < 0x7f800000u;
    let kept = finite && largest >= 1e-30;
    let scale = select(0.0, largest / 127.0, kept);
    return vec2<f32>(select(0.0, 127.0 / largest, kept), bitcast<f32>(select(bitcast<u32>(scale), 0x7fc00000u, !finite)));
}

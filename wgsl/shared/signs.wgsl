// The two sign vectors of the rotation (turbo_quant::turbo::signs): bit i % 32 of word i / 32 set means -1.

const SIGNS_1 = vec4<u32>(0xe46a0359u, 0x42f85949u, 0xa4c63bbbu, 0x49f250a9u);
const SIGNS_2 = vec4<u32>(0x16acee90u, 0x3f628fdcu, 0xb7a5357au, 0xbea56562u);

// Flips the signs of values 4 * quad .. 4 * quad + 3 of a group.
fn flip4(x: vec4<f32>, signs: vec4<u32>, quad: u32) -> vec4<f32> {
    let four = vec4<u32>(signs[quad >> 3u] >> ((quad & 7u) * 4u));
    let mask = (four << vec4<u32>(31u, 30u, 29u, 28u)) & vec4<u32>(0x80000000u);
    return bitcast<vec4<f32>>(bitcast<vec4<u32>>(x) ^ mask);
}

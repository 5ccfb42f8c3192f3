// Heads as they are after their norm and their rotary embedding, four values at a time.
//
// A head is multiplied by 1 / sqrt(mean(x^2) + eps) and by `weight` if params.normed is 1; then pairs of its first
// params.turned = 2 * params.pairs values are turned by the token's angles, (a, b) becoming (a c - b s, a s + b c). `factors` has
// params.pairs cosines per token, then as many sines, those of token 0 as number params.first_token. params.pairs is a multiple of 4 where pairs are (i, i + pairs)
// (params.neox = 1), of 2 where they are (2i, 2i + 1).
// Words: SOURCE, the buffer of heads, in vectors.

// What the values of a quad are made of.
struct RawQuad {
    own: vec4<f32>,
    own_weight: vec4<f32>,
    // The quad of the partners, where pairs are (i, i + pairs).
    other: vec4<f32>,
    other_weight: vec4<f32>,
    cosines: vec4<f32>,
    sines: vec4<f32>,
}

// Values 4 `quad` .. of the head that starts at vector `at`: everything is asked for at once.
fn read_quad(at: u32, quad: u32, token: u32) -> RawQuad {
    let i = 4u * quad;
    let neox = params.neox != 0u;
    let turned = i < params.turned;
    let second = i >= params.pairs;
    let step = params.pairs / 4u;
    let partner = select(quad, select(quad + step, quad - step, second), neox && turned);
    let pair = select(vec4<u32>(i / 2u), vec4<u32>(select(i, i - params.pairs, second)), neox);
    let place = pair + select(vec4<u32>(0u, 0u, 1u, 1u), vec4<u32>(0u, 1u, 2u, 3u), neox);
    let c = select(vec4<u32>(0u), (params.first_token + token) * params.turned + place, turned);
    let s = select(vec4<u32>(0u), c + params.pairs, turned);
    return RawQuad(
        SOURCE[at + quad],
        weight[quad],
        SOURCE[at + partner],
        weight[partner],
        vec4<f32>(factors[c.x], factors[c.y], factors[c.z], factors[c.w]),
        vec4<f32>(factors[s.x], factors[s.y], factors[s.z], factors[s.w]),
    );
}

// What a head is multiplied with, from the sum of its squares.
fn norm_factor(square: f32, cols: u32) -> f32 {
    return 1.0 / sqrt(square / f32(cols) + params.eps);
}

fn turn_quad(raw: RawQuad, quad: u32, factor: f32) -> vec4<f32> {
    let i = 4u * quad;
    let neox = params.neox != 0u;
    let normed = vec4<bool>(params.normed != 0u);
    let own = select(raw.own, raw.own * factor * raw.own_weight, normed);
    let other = select(raw.other, raw.other * factor * raw.other_weight, normed);
    let partner = select(own.yxwz, other, neox);
    let signs = select(vec4<f32>(-1.0, 1.0, -1.0, 1.0), vec4<f32>(select(-1.0, 1.0, i >= params.pairs)), neox);
    let turned = own * raw.cosines + partner * (signs * raw.sines);
    return select(own, turned, i < params.turned);
}

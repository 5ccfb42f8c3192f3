// Which partials a row has, and its attention sink.

// The first slot of a row's partials and how many there are; none for a row of no sequence.
fn slots_of(row: u32) -> vec2<u32> {
    let token = row / (params.kv_heads * params.group);
    for (var i = 0u; i < params.sequences; i++) {
        let sequence = sequences[i];
        if token >= sequence.first && token < sequence.first + sequence.tokens {
            let position = sequence.start + token - sequence.first;
            let chunk = first_seen(position) / CHUNK;
            return vec2<u32>(chunk - first_seen(sequence.start) / CHUNK, position / CHUNK + 1u - chunk);
        }
    }
    return vec2<u32>(0u);
}

// The part of the denominator that an attention sink is.
fn sink_of(logit: f32) -> Frame {
    const LIMIT = 67108864.0;
    let scaled = opaque(logit * 0x1.715476p0f) * 65536.0;
    let s = i32(round(select(-LIMIT, min(scaled, LIMIT), scaled > -LIMIT)));
    return Frame(s >> 16u, exp2_mantissa(vec4<i32>(s)).x);
}


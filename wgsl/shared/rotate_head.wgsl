// Rotates a head that a workgroup holds in its memory, all its groups at once.
//
// Words: THREADS invocations of the workgroup, MAX_HEAD values of the largest head.

#import float_bits
#import group_at
#import signs

var<workgroup> head: array<f32, MAX_HEAD>;
// Largest exponent field of the group that starts at value 16 i.
var<workgroup> fields: array<atomic<u32>, MAX_HEAD / 16>;

fn flip(x: f32, signs: vec4<u32>, i: u32) -> f32 {
    return bitcast<f32>(bitcast<u32>(x) ^ ((signs[(i >> 5u) & 3u] >> (i & 31u)) << 31u));
}

// Exponent field of the group of value i, once rotate_head has run.
fn field_at(i: u32, n: u32) -> u32 {
    return atomicLoad(&fields[(i & ~(n - 1u)) / 16u]);
}

// Normalises, flips by `first`, transforms, flips by `second`: `head` is then sqrt(n) times too large, in the frame of
// its group's exponent field.
fn rotate_head(d: u32, first: vec4<u32>, second: vec4<u32>, t: u32) {
    for (var i = t; i < MAX_HEAD / 16; i += THREADS) {
        atomicStore(&fields[i], 0u);
    }
    workgroupBarrier();
    for (var i = t; i < d; i += THREADS) {
        atomicMax(&fields[(i & ~(group_at(i, d) - 1u)) / 16u], exponent_field(head[i]));
    }
    workgroupBarrier();
    for (var i = t; i < d; i += THREADS) {
        let n = group_at(i, d);
        let x = normalise4(vec4<f32>(head[i]), field_at(i, n)).x;
        head[i] = flip(x, first, i & (n - 1u));
    }
    workgroupBarrier();
    for (var h = 1u; h < 128u; h *= 2u) {
        for (var pair = t; pair < d / 2u; pair += THREADS) {
            let i = ((pair & ~(h - 1u)) * 2u) | (pair & (h - 1u));
            if group_at(i, d) > h {
                let a = head[i];
                let b = head[i + h];
                head[i] = a + b;
                head[i + h] = a - b;
            }
        }
        workgroupBarrier();
    }
    for (var i = t; i < d; i += THREADS) {
        head[i] = flip(head[i], second, i & (group_at(i, d) - 1u));
    }
    workgroupBarrier();
}

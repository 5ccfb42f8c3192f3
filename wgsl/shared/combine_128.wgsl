// The body of attention_combine for heads of 128 values: an invocation folds one value, chunk after chunk, and the 32
// behind those of the values fold the denominator. Little code: between two layers of a model a GPU forgets it.
//
// Subgroups of 32 or more. store_quad(place, values, stored) takes the results.
// Words: V_TYPE.

#if V_TYPE == 0
#define BLOCKS 4
#endif
#if V_TYPE == 1
#define BLOCKS 4
#endif
#if V_TYPE != 0
#if V_TYPE != 1
#define BLOCKS 1
#endif
#endif

#import combine_rows
#import exp2_exact
#import fold
#import grid
#import head_of_sums_128
#import join_entry
#import opaque

const THREADS = 160u;
// Vectors of a partial before its sums, and of all of it.
const HEAD_VECTORS = (2u * BLOCKS + 5u) / 4u;
const STRIDE = HEAD_VECTORS + 32u;

// The folded values, four by four; the frames of the scale blocks, then the denominator.
var<workgroup> sums: array<vec4<i32>, 32>;
var<workgroup> states: array<Frame, BLOCKS + 1>;

// What an invocation folds of a chunk.
struct Part {
    // e, bound; of the denominator l, e.
    frame: vec2<u32>,
    value: i32,
}

// `at`: first vector of the partial; entry 0 is the denominator, others scale blocks.
fn read_part(at: u32, entry: u32, t: u32) -> Part {
    let words = partials[at + entry / 2u];
    let value = partials[at + HEAD_VECTORS + (t & 127u) / 4u][t & 3u];
    return Part(select(words.xy, words.zw, (entry & 1u) != 0u), bitcast<i32>(value));
}

// Reads a word of every 32 bytes, so that the loop over the chunks waits for none of them.
fn touch(at: u32, vectors: u32, t: u32) -> u32 {
    var x = 0u;
    for (var i = 2u * t; i < vectors; i += 8u * THREADS) {
#repeat J 4
        x ^= partials[at + min(i + 2u * J * THREADS, vectors - 1u)].x;
#end
    }
    return x;
}

@compute @workgroup_size(THREADS)
fn main(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) size: vec3<u32>,
    @builtin(subgroup_id) subgroup: u32,
    @builtin(subgroup_size) lanes: u32,
    @builtin(subgroup_invocation_id) lane: u32,
) {
    let t = subgroup * lanes + lane;
    let row = linear_workgroup(id, size);
    if row >= params.rows {
        return;
    }
    let seen = slots_of(row);
    if seen.y == 0u {
        return;
    }
    let at = (row * params.slots + seen.x) * STRIDE;
    let touched = touch(at, seen.y * STRIDE, t);
    // Never, but without it what is touched would not be read.
    if params.zero != 0u && touched == 1u {
        sums[0].x = 1;
    }
    let entry = select(t / (128u / BLOCKS) + 1u, 0u, t >= 128u);
    let extra = select(2u, 0u, entry == 0u);
    var state = Frame(EMPTY, 0u);
    var value = 0;
    var next = read_part(at, entry, t);
    for (var chunk = 0u; chunk < seen.y; chunk++) {
        let part = next;
        next = read_part(at + min(chunk + 1u, seen.y - 1u) * STRIDE, entry, t);
        let words = select(part.frame, part.frame.yx, entry == 0u);
        let join = join_entry(state, Frame(bitcast<i32>(words.x), words.y), extra);
        state = join.frame;
        value = fold_value(value, part.value, join);
    }
    state.e = select(state.e, 0, state.bound == 0u);
    if entry != 0u {
        sums[t / 4u][t & 3u] = value;
    }
    if (t & (128u / BLOCKS - 1u)) == 0u {
        states[entry] = state;
    }
    workgroupBarrier();
    if subgroup != 0u {
        return;
    }
    let quad = t & 31u;
    let denominator = with_sink(states[0], row);
    let frame = states[quad / (32u / BLOCKS) + 1u];
    let head = head_of_sums(sums[quad], frame, denominator, normaliser(denominator), quad);
    store_quad(row * 32u + quad, head, t < 32u);
}

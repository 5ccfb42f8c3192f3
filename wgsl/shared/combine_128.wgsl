// The body of attention_combine for heads of 128 values: an invocation folds one value, chunk after chunk; those behind
// them find out, some chunks ahead, by how much to shift. Little code: between two layers of a model a GPU forgets it.
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
// Chunks that are brought to workgroup memory at a time, while those before are folded.
const BATCH = 16u;

// The folded values, four by four; the frames of the scale blocks, then the denominator.
var<workgroup> sums: array<vec4<i32>, 32>;
var<workgroup> states: array<Frame, BLOCKS + 1>;
// Of every chunk of a batch and entry: the right shifts of the state and of the chunk's part.
var<workgroup> shifts: array<vec2<u32>, BATCH * (BLOCKS + 1)>;

// Partials of some chunks, as they lie in memory.
var<workgroup> batch: array<vec4<u32>, BATCH * STRIDE>;

// The invocation's share of the partials from vector `first` of the row's on, asked for at once; they start at `at` and have
// `vectors`.
alias Ahead = array<vec4<u32>, 4>;

fn read_ahead(at: u32, first: u32, vectors: u32, t: u32) -> Ahead {
    var ahead: Ahead;
#repeat J 4
    ahead[J] = partials[at + min(first + t + J * THREADS, vectors - 1u)];
#end
    return ahead;
}

fn store_batch(ahead: Ahead, t: u32) {
#repeat J 4
    if t + J * THREADS < BATCH * STRIDE {
        batch[t + J * THREADS] = ahead[J];
    }
#end
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
    let vectors = seen.y * STRIDE;
    var ahead = read_ahead(at, 0u, vectors, t);
    // Of frames: the invocations behind the values have one entry each. Of values: its scale block's.
    let entry = select(t / (128u / BLOCKS) + 1u, t - 128u, t >= 128u);
    let extra = select(2u, 0u, entry == 0u);
    var state = Frame(EMPTY, 0u);
    var value = 0;
    for (var first = 0u; first < seen.y; first += BATCH) {
        let chunks = min(BATCH, seen.y - first);
        // The batch before is folded.
        workgroupBarrier();
        store_batch(ahead, t);
        workgroupBarrier();
        ahead = read_ahead(at, (first + BATCH) * STRIDE, vectors, t);
        if t >= 128u && entry <= BLOCKS {
            for (var chunk = 0u; chunk < chunks; chunk++) {
                let words = batch[chunk * STRIDE + entry / 2u];
                let own = select(words.xy, words.zw, (entry & 1u) != 0u);
                // Of the denominator l, e.
                let frame = select(own, own.yx, entry == 0u);
                let join = join_entry(state, Frame(bitcast<i32>(frame.x), frame.y), extra);
                state = join.frame;
                shifts[chunk * (BLOCKS + 1u) + entry] = vec2<u32>(join.state, join.part);
            }
        }
        workgroupBarrier();
        if t < 128u {
            for (var chunk = 0u; chunk < chunks; chunk += 4u) {
                // Asked for together; behind the last chunk nothing is added and nothing shifted.
                var by: array<vec2<u32>, 4>;
                var parts: array<i32, 4>;
#repeat J 4
                by[J] = select(vec2<u32>(0u, GONE), shifts[(chunk + J) * (BLOCKS + 1u) + entry], chunk + J < chunks);
                parts[J] = bitcast<i32>(batch[(chunk + J) * STRIDE + HEAD_VECTORS + t / 4u][t & 3u]);
#end
#repeat J 4
                value = shift_round(value, by[J].x) + shift_round(parts[J], by[J].y);
#end
            }
        }
    }
    if t < 128u {
        sums[t / 4u][t & 3u] = value;
    } else if entry <= BLOCKS {
        states[entry] = Frame(select(state.e, 0, state.bound == 0u), state.bound);
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

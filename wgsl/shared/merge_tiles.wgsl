// Reduces a value of every invocation for four tiles to four places of workgroup memory.
//
// Words: TO the array of atomics, ELEMENT its type, ATOMIC the operation, IDLE what changes nothing; import it with
// merge=NAME and these.

fn merge(at: u32, x: vec4<ELEMENT>) {
#repeat J 4
    if x[J] != IDLE {
        ATOMIC(&TO[at + J], x[J]);
    }
#end
}

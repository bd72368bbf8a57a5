; Calls of CPU kernels in one step: look at the arrays, run the parts of the product on as many
; threads as the plan has, return when y is computed. Compiled once per process, for 64-bit hosts;
; sparsert_ir/native/library.py has the same structures for Python and says what each field means.
; Nothing here allocates, blocks in the system, or calls Python: Python's lock is not held.

%Wanted = type { ptr, i32, i32, i64, [4 x i64] }
; element type, rank, flags, bytes, extents
%Plan = type { ptr, i64, i64, i64, i64, i64, ptr, ptr, ptr, [3 x %Wanted] }
; function, kind, copy bytes, parts, threads, head of an object, bounds, team, type, arrays
%Array = type { ptr, i32, ptr, ptr, ptr, ptr, i32 }
; numpy's, after the head of its object: data, rank, extents, strides, base, element type, flags
%Part = type { i64, i64, i64, i64 }
%Job = type { ptr, i64, i64, i64 }
; plan, addresses of x, the residual and y
%Worker = type { i32, i32, ptr, i64, i64, [32 x i8] }
; state, nothing, buffer and its bytes, jobs that it took, a cache line's rest
%Team = type { i32, i32, ptr, [48 x i8], %Job, [32 x i8], i64, [56 x i8], [0 x %Worker] }
; taken, workers, yield to the system, -, job, -, next part, -, workers

; States of a worker: 0 asleep, 1 awake and waiting, 2 running; 4 is added while a job waits for it.
; Whoever takes the 4 away has the job: the worker, to run it, or the caller, who no longer needs it.


; Whether an object is an array as wanted: 0 in `bad` where it is. Returns the address of its data.
define private i64 @array(ptr %wanted, ptr %object, i64 %head, ptr %type, ptr %bad) alwaysinline {
  %type_offset = sub i64 %head, 8
  %type_place = getelementptr i8, ptr %object, i64 %type_offset
  %its_type = load ptr, ptr %type_place
  %is_array = icmp eq ptr %its_type, %type
  br i1 %is_array, label %fields, label %refuse
fields:
  %array = getelementptr i8, ptr %object, i64 %head
  %element_place = getelementptr %Array, ptr %array, i32 0, i32 5
  %element = load ptr, ptr %element_place
  %wanted_element = load ptr, ptr %wanted
  %same_element = icmp eq ptr %element, %wanted_element
  %rank_place = getelementptr %Array, ptr %array, i32 0, i32 1
  %rank = load i32, ptr %rank_place
  %wanted_rank_place = getelementptr %Wanted, ptr %wanted, i32 0, i32 1
  %wanted_rank = load i32, ptr %wanted_rank_place
  %same_rank = icmp eq i32 %rank, %wanted_rank
  %flags_place = getelementptr %Array, ptr %array, i32 0, i32 6
  %flags = load i32, ptr %flags_place
  %wanted_flags_place = getelementptr %Wanted, ptr %wanted, i32 0, i32 2
  %wanted_flags = load i32, ptr %wanted_flags_place
  %set = and i32 %flags, %wanted_flags
  %all_set = icmp eq i32 %set, %wanted_flags
  %two = and i1 %same_element, %same_rank
  %three = and i1 %two, %all_set
  br i1 %three, label %shape, label %refuse
shape:
  %extents_place = getelementptr %Array, ptr %array, i32 0, i32 2
  %extents = load ptr, ptr %extents_place
  br label %extent
extent:
  %i = phi i32 [ 0, %shape ], [ %next, %extent_checked ]
  %more = icmp ult i32 %i, %rank
  br i1 %more, label %compare, label %accept
compare:
  %extent_place = getelementptr i64, ptr %extents, i32 %i
  %one = load i64, ptr %extent_place
  %wanted_place = getelementptr %Wanted, ptr %wanted, i32 0, i32 4, i32 %i
  %wanted_one = load i64, ptr %wanted_place
  %same = icmp eq i64 %one, %wanted_one
  br i1 %same, label %extent_checked, label %refuse
extent_checked:
  %next = add i32 %i, 1
  br label %extent
accept:
  %data = load i64, ptr %array
  ret i64 %data
refuse:
  store i32 1, ptr %bad
  ret i64 0
}

; Whether [a, a + a_bytes) and [b, b + b_bytes) share memory.
define private i1 @overlap(i64 %a, i64 %a_bytes, i64 %b, i64 %b_bytes) alwaysinline {
  %a_end = add i64 %a, %a_bytes
  %b_end = add i64 %b, %b_bytes
  %a_first = icmp ult i64 %a, %b_end
  %b_first = icmp ult i64 %b, %a_end
  %both = and i1 %a_first, %b_first
  ret i1 %both
}

define private i64 @bytes(ptr %wanted) alwaysinline {
  %place = getelementptr %Wanted, ptr %wanted, i32 0, i32 3
  %bytes = load i64, ptr %place
  ret i64 %bytes
}

; One part by the plan's function, whose arguments are x, the residual where there is one, y, the
; copy where there is one, and the four bounds where the plan has parts.
define private void @part(ptr %plan, ptr %job, i64 %copy, i64 %number) alwaysinline {
  %function = load ptr, ptr %plan
  %kind_place = getelementptr %Plan, ptr %plan, i32 0, i32 1
  %kind = load i64, ptr %kind_place
  %x_place = getelementptr %Job, ptr %job, i32 0, i32 1
  %x = load i64, ptr %x_place
  %residual_place = getelementptr %Job, ptr %job, i32 0, i32 2
  %residual = load i64, ptr %residual_place
  %y_place = getelementptr %Job, ptr %job, i32 0, i32 3
  %y = load i64, ptr %y_place
  %bounds_place = getelementptr %Plan, ptr %plan, i32 0, i32 6
  %bounds = load ptr, ptr %bounds_place
  %first_place = getelementptr %Part, ptr %bounds, i64 %number, i32 0
  %a = load i64, ptr %first_place
  %last_place = getelementptr %Part, ptr %bounds, i64 %number, i32 1
  %b = load i64, ptr %last_place
  %first_panel_place = getelementptr %Part, ptr %bounds, i64 %number, i32 2
  %c = load i64, ptr %first_panel_place
  %last_panel_place = getelementptr %Part, ptr %bounds, i64 %number, i32 3
  %d = load i64, ptr %last_panel_place
  switch i64 %kind, label %whole [
    i64 1, label %whole_residual
    i64 2, label %bounds_only
    i64 3, label %bounds_residual
    i64 4, label %copied
    i64 5, label %copied_residual
  ]
whole:
  call void %function(i64 %x, i64 %y)
  ret void
whole_residual:
  call void %function(i64 %x, i64 %residual, i64 %y)
  ret void
bounds_only:
  call void %function(i64 %x, i64 %y, i64 %a, i64 %b, i64 %c, i64 %d)
  ret void
bounds_residual:
  call void %function(i64 %x, i64 %residual, i64 %y, i64 %a, i64 %b, i64 %c, i64 %d)
  ret void
copied:
  call void %function(i64 %x, i64 %y, i64 %copy, i64 %a, i64 %b, i64 %c, i64 %d)
  ret void
copied_residual:
  call void %function(i64 %x, i64 %residual, i64 %y, i64 %copy, i64 %a, i64 %b, i64 %c, i64 %d)
  ret void
}

; Run parts until none is left; `next` counts those that somebody has begun. A small copy of a tile
; of x lies on the stack, a large one in the buffer.
define private void @parts(ptr %job, ptr %next, i64 %buffer) noinline {
  %plan = load ptr, ptr %job
  %copy_place = getelementptr %Plan, ptr %plan, i32 0, i32 2
  %copy_bytes = load i64, ptr %copy_place
  %count_place = getelementptr %Plan, ptr %plan, i32 0, i32 3
  %count = load i64, ptr %count_place
  %given = icmp ne i64 %buffer, 0
  br i1 %given, label %begin, label %stack
stack:
  %memory = alloca i8, i64 %copy_bytes, align 64
  %address = ptrtoint ptr %memory to i64
  br label %begin
begin:
  %copy = phi i64 [ %buffer, %0 ], [ %address, %stack ]
  br label %loop
loop:
  %number = atomicrmw add ptr %next, i64 1 monotonic
  %left = icmp ult i64 %number, %count
  br i1 %left, label %run, label %end
run:
  call void @part(ptr %plan, ptr %job, i64 %copy, i64 %number)
  br label %loop
end:
  ret void
}

; Check the arrays and compute y; 0: done, 1: an array is not as wanted, 2: workers are asleep.
; ask: whether to return 2 then, or to go on without those that do not come in time.
define i64 @sparsert_call(ptr %plan, ptr %x, ptr %residual, ptr %y, i64 %buffer, i64 %ask) {
  %bad = alloca i32
  store i32 0, ptr %bad
  %head_place = getelementptr %Plan, ptr %plan, i32 0, i32 5
  %head = load i64, ptr %head_place
  %type_place = getelementptr %Plan, ptr %plan, i32 0, i32 8
  %type = load ptr, ptr %type_place
  %known = icmp ne i64 %head, 0
  br i1 %known, label %arrays, label %refuse
arrays:
  %x_wanted = getelementptr %Plan, ptr %plan, i32 0, i32 9, i32 0
  %r_wanted = getelementptr %Plan, ptr %plan, i32 0, i32 9, i32 1
  %y_wanted = getelementptr %Plan, ptr %plan, i32 0, i32 9, i32 2
  %x_data = call i64 @array(ptr %x_wanted, ptr %x, i64 %head, ptr %type, ptr %bad)
  %y_data = call i64 @array(ptr %y_wanted, ptr %y, i64 %head, ptr %type, ptr %bad)
  %x_bytes = call i64 @bytes(ptr %x_wanted)
  %y_bytes = call i64 @bytes(ptr %y_wanted)
  %x_shared = call i1 @overlap(i64 %x_data, i64 %x_bytes, i64 %y_data, i64 %y_bytes)
  %r_element = load ptr, ptr %r_wanted
  %has_residual = icmp ne ptr %r_element, null
  br i1 %has_residual, label %with_residual, label %checked
with_residual:
  %r_array = call i64 @array(ptr %r_wanted, ptr %residual, i64 %head, ptr %type, ptr %bad)
  %r_bytes = call i64 @bytes(ptr %r_wanted)
  %r_overlap = call i1 @overlap(i64 %r_array, i64 %r_bytes, i64 %y_data, i64 %y_bytes)
  br label %checked
checked:
  %r_data = phi i64 [ 0, %arrays ], [ %r_array, %with_residual ]
  %r_shared = phi i1 [ false, %arrays ], [ %r_overlap, %with_residual ]
  %shared = or i1 %x_shared, %r_shared
  %wrong = load i32, ptr %bad
  %right = icmp eq i32 %wrong, 0
  %own = xor i1 %shared, true
  %good = and i1 %right, %own
  br i1 %good, label %accept, label %refuse
accept:
  %status = call i64 @sparsert_run(
    ptr %plan, i64 %x_data, i64 %r_data, i64 %y_data, i64 %buffer, i64 %ask)
  ret i64 %status
refuse:
  ret i64 1
}

; As `sparsert_call`, with the addresses of arrays that were checked.
define i64 @sparsert_run(
    ptr %plan, i64 %x, i64 %residual, i64 %y, i64 %buffer, i64 %ask) alwaysinline {
  %job = alloca %Job
  %next = alloca i64
  %threads_place = getelementptr %Plan, ptr %plan, i32 0, i32 4
  %threads = load i64, ptr %threads_place
  %alone = icmp ult i64 %threads, 2
  br i1 %alone, label %by_itself, label %with_team
by_itself:
  call void @fill(ptr %job, ptr %plan, i64 %x, i64 %residual, i64 %y)
  store i64 0, ptr %next
  call void @parts(ptr %job, ptr %next, i64 %buffer)
  ret i64 0
with_team:
  %team_place = getelementptr %Plan, ptr %plan, i32 0, i32 7
  %team = load ptr, ptr %team_place
  %helpers_wide = sub i64 %threads, 1
  %helpers = trunc i64 %helpers_wide to i32
  %claim = cmpxchg ptr %team, i32 0, i32 1 acquire monotonic
  %claimed = extractvalue { i32, i1 } %claim, 1
  br i1 %claimed, label %have_team, label %by_itself
have_team:
  %present = call i32 @present(ptr %team, i32 %helpers)
  %asking = icmp ne i64 %ask, 0
  %missing = icmp ult i32 %present, %helpers
  %wake = and i1 %asking, %missing
  br i1 %wake, label %give_back, label %together
give_back:
  store atomic i32 0, ptr %team release, align 4
  ret i64 2
together:
  %job_of_team = getelementptr %Team, ptr %team, i32 0, i32 4
  %next_of_team = getelementptr %Team, ptr %team, i32 0, i32 6
  call void @fill(ptr %job_of_team, ptr %plan, i64 %x, i64 %residual, i64 %y)
  store i64 0, ptr %next_of_team
  call void @post(ptr %team, i32 %helpers)
  call void @parts(ptr %job_of_team, ptr %next_of_team, i64 %buffer)
  call void @collect(ptr %team, i32 %helpers)
  store atomic i32 0, ptr %team release, align 4
  ret i64 0
}

define private void @fill(ptr %job, ptr %plan, i64 %x, i64 %residual, i64 %y) alwaysinline {
  %x_place = getelementptr %Job, ptr %job, i32 0, i32 1
  %residual_place = getelementptr %Job, ptr %job, i32 0, i32 2
  %y_place = getelementptr %Job, ptr %job, i32 0, i32 3
  store ptr %plan, ptr %job
  store i64 %x, ptr %x_place
  store i64 %residual, ptr %residual_place
  store i64 %y, ptr %y_place
  ret void
}

; How many of the first `helpers` workers exist and are awake.
define private i32 @present(ptr %team, i32 %helpers) {
  %exist = call i32 @existing(ptr %team, i32 %helpers)
  br label %loop
loop:
  %i = phi i32 [ 0, %0 ], [ %next, %body ]
  %count = phi i32 [ 0, %0 ], [ %more, %body ]
  %left = icmp ult i32 %i, %exist
  br i1 %left, label %body, label %end
body:
  %state_place = getelementptr %Team, ptr %team, i32 0, i32 8, i32 %i
  %state = load atomic i32, ptr %state_place monotonic, align 4
  %awake = icmp ne i32 %state, 0
  %one = zext i1 %awake to i32
  %more = add i32 %count, %one
  %next = add i32 %i, 1
  br label %loop
end:
  ret i32 %count
}

define private i32 @existing(ptr %team, i32 %helpers) {
  %workers_place = getelementptr %Team, ptr %team, i32 0, i32 1
  %workers = load atomic i32, ptr %workers_place acquire, align 4
  %fewer = call i32 @llvm.umin.i32(i32 %workers, i32 %helpers)
  ret i32 %fewer
}

; Offer the team's job to the first `helpers` workers.
define private void @post(ptr %team, i32 %helpers) {
  %exist = call i32 @existing(ptr %team, i32 %helpers)
  br label %loop
loop:
  %i = phi i32 [ 0, %0 ], [ %next, %body ]
  %left = icmp ult i32 %i, %exist
  br i1 %left, label %body, label %end
body:
  %state_place = getelementptr %Team, ptr %team, i32 0, i32 8, i32 %i
  %before = atomicrmw or ptr %state_place, i32 4 release
  %next = add i32 %i, 1
  br label %loop
end:
  ret void
}

; Take the job back from workers that have not begun, and wait for the others. Whoever waits gives
; its core away now and then: on a busy machine the one it waits for may need it.
define private void @collect(ptr %team, i32 %helpers) {
  %exist = call i32 @existing(ptr %team, i32 %helpers)
  %yield_place = getelementptr %Team, ptr %team, i32 0, i32 2
  %yield = load ptr, ptr %yield_place
  %can_yield = icmp ne ptr %yield, null
  br label %loop
loop:
  %i = phi i32 [ 0, %0 ], [ %next, %done ]
  %left = icmp ult i32 %i, %exist
  br i1 %left, label %body, label %end
body:
  %state_place = getelementptr %Team, ptr %team, i32 0, i32 8, i32 %i
  %before = atomicrmw and ptr %state_place, i32 -5 acquire
  %began = icmp eq i32 %before, 2
  br i1 %began, label %wait, label %done
wait:
  %spins = phi i32 [ 0, %body ], [ %more, %relaxed ]
  %state = load atomic i32, ptr %state_place acquire, align 4
  %running = icmp eq i32 %state, 2
  br i1 %running, label %again, label %done
again:
  call void @relax()
  %more = add i32 %spins, 1
  %low_bits = and i32 %more, 63
  %turn = icmp eq i32 %low_bits, 0
  %leave = and i1 %turn, %can_yield
  br i1 %leave, label %give_way, label %relaxed
give_way:
  %ignored = call i32 %yield()
  br label %relaxed
relaxed:
  br label %wait
done:
  %next = add i32 %i, 1
  br label %loop
end:
  ret void
}

; What a worker's thread does: jobs, until none has come for `spins` rounds. A worker that runs a job
; begins to count anew.
define void @sparsert_serve(ptr %team, i64 %number, i64 %spins) {
  %worker = getelementptr %Team, ptr %team, i32 0, i32 8, i64 %number
  %job = getelementptr %Team, ptr %team, i32 0, i32 4
  %next = getelementptr %Team, ptr %team, i32 0, i32 6
  %yield_place = getelementptr %Team, ptr %team, i32 0, i32 2
  %yield = load ptr, ptr %yield_place
  %can_yield = icmp ne ptr %yield, null
  %awake = atomicrmw or ptr %worker, i32 1 monotonic
  br label %look
look:
  %round = phi i64 [ 0, %0 ], [ 0, %ran ], [ %more, %wait ], [ %more, %give_way ]
  %state = load atomic i32, ptr %worker monotonic, align 4
  %has_job = icmp uge i32 %state, 4
  br i1 %has_job, label %claim, label %idle
claim:
  %claiming = cmpxchg ptr %worker, i32 5, i32 2 acquire monotonic
  %claimed = extractvalue { i32, i1 } %claiming, 1
  br i1 %claimed, label %run, label %idle
run:
  %buffer_place = getelementptr %Worker, ptr %worker, i32 0, i32 2
  %buffer = load atomic i64, ptr %buffer_place monotonic, align 8
  %jobs_place = getelementptr %Worker, ptr %worker, i32 0, i32 4
  %jobs = load i64, ptr %jobs_place
  %one_more = add i64 %jobs, 1
  store i64 %one_more, ptr %jobs_place
  call void @parts(ptr %job, ptr %next, i64 %buffer)
  br label %ran
ran:
  store atomic i32 1, ptr %worker release, align 4
  br label %look
idle:
  %more = add i64 %round, 1
  %bored = icmp ugt i64 %more, %spins
  br i1 %bored, label %sleep, label %wait
wait:
  call void @relax()
  %low_bits = and i64 %more, 63
  %turn = icmp eq i64 %low_bits, 0
  %leave = and i1 %turn, %can_yield
  br i1 %leave, label %give_way, label %look
give_way:
  %ignored = call i32 %yield()
  br label %look
sleep:
  %sleeping = cmpxchg ptr %worker, i32 1, i32 0 monotonic monotonic
  %slept = extractvalue { i32, i1 } %sleeping, 1
  br i1 %slept, label %end, label %wait
end:
  ret void
}

declare i32 @llvm.umin.i32(i32, i32)

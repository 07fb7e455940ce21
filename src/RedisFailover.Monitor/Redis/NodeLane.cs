namespace RedisFailover.Monitor.Redis;

/// <summary>
/// The order of the commands to one node: they are sent as they were decided, and one that changes the role is left out once
/// a later one has been decided. Before the first command on a connection there is something to wait for, and what waits must
/// not be overtaken.
/// </summary>
internal sealed class NodeLane
{
    private readonly Lock _gate = new();
    private readonly Queue<Turn> _turns = new();
    private long _entered;
    private long _lastRole;

    /// <summary>Takes the next place; called in the order of the decisions.</summary>
    internal Turn Enter(FailoverAction action)
    {
        lock (_gate)
        {
            var turn = new Turn(this, ++_entered, action is Promote or Detach or Follow or Demote);
            _lastRole = turn.ChangesRole ? turn.Number : _lastRole;
            _turns.Enqueue(turn);
            Next();
            return turn;
        }
    }

    /// <summary>The first that has not left comes.</summary>
    private void Next()
    {
        while (_turns.TryPeek(out Turn? first))
        {
            if (!first.HasLeft)
            {
                first.Come();
                return;
            }

            _turns.Dequeue();
        }
    }

    /// <summary>One command's place.</summary>
    internal sealed class Turn(NodeLane lane, long number, bool changesRole)
    {
        private readonly TaskCompletionSource _comes = new(TaskCreationOptions.RunContinuationsAsynchronously);

        /// <summary>Completed once everything that was decided before has been sent, or will not be.</summary>
        internal Task Comes => _comes.Task;

        /// <summary>Whether what was decided later gives the node another role.</summary>
        internal bool IsSuperseded
        {
            get
            {
                lock (lane._gate)
                {
                    return changesRole && lane._lastRole > number;
                }
            }
        }

        internal long Number => number;

        internal bool ChangesRole => changesRole;

        internal bool HasLeft { get; private set; }

        internal void Come() => _comes.TrySetResult();

        /// <summary>It has been sent, or will not be: the next may go.</summary>
        internal void Leave()
        {
            lock (lane._gate)
            {
                HasLeft = true;
                lane.Next();
            }
        }
    }
}

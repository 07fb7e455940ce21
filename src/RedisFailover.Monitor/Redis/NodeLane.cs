namespace RedisFailover.Monitor.Redis;

/// <summary>
/// The order of the commands to one node: they are sent as they were decided, and one that changes the role is left out once
/// a later one has been decided. Before the first command on a connection there is something to wait for, and what waits must
/// not be overtaken.
/// </summary>
internal sealed class NodeLane
{
    private readonly Lock _gate = new();
    private Task _tail = Task.CompletedTask;
    private long _entered;
    private long _lastRole;

    /// <summary>Takes the next place; called in the order of the decisions.</summary>
    internal Turn Enter(FailoverAction action)
    {
        lock (_gate)
        {
            var turn = new Turn(this, ++_entered, action is Promote or Detach or Follow or Demote, _tail);
            _lastRole = turn.ChangesRole ? turn.Number : _lastRole;
            _tail = Task.WhenAll(_tail, turn.Sent);
            return turn;
        }
    }

    /// <summary>One command's place.</summary>
    internal sealed class Turn(NodeLane lane, long number, bool changesRole, Task comes)
    {
        private readonly TaskCompletionSource _sent = new(TaskCreationOptions.RunContinuationsAsynchronously);

        /// <summary>Completed once everything that was decided before has been sent, or will not be.</summary>
        internal Task Comes { get; } = comes;

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

        internal Task Sent => _sent.Task;

        /// <summary>It has been sent, or will not be: the next may go.</summary>
        internal void Leave() => _sent.TrySetResult();
    }
}

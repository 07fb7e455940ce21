namespace RedisFailover.UnitTests.Simulation;

/// <summary>A write, and with it the whole data set that it made: all writes before it, back to the first.</summary>
internal sealed class Commit(Commit? parent, int number)
{
    internal int Number => number;

    internal int Depth { get; } = (parent?.Depth ?? 0) + 1;

    /// <summary>Where the data began: two sets with different beginnings have nothing in common.</summary>
    internal int Beginning { get; } = parent?.Beginning ?? number;

    private Commit? Parent => parent;

    /// <summary>Whether all of a part is in the whole.</summary>
    internal static bool Contains(Commit? whole, Commit? part)
    {
        while (whole is not null && part is not null && whole.Depth > part.Depth)
        {
            whole = whole.Parent;
        }

        return part is null || ReferenceEquals(whole, part);
    }

    public override string ToString() => $"{number}({Depth})";
}

/// <summary>One connection of a client or a monitor to a node. It ends on both sides separately, as TCP connections do.</summary>
internal sealed class NodeConnection(Process owner, SimulatedRedis node)
{
    private readonly Pipe _up = new(owner.Place, node.Place);
    private readonly Pipe _down = new(node.Place, owner.Place);
    private readonly int _ownersLife = owner.Life;
    private Action? _closed;
    private int _life;

    /// <summary>As its owner knows it.</summary>
    internal bool IsOpen { get; private set; } = true;

    internal Process Owner => owner;

    /// <summary>As the node knows it: the term of the leader whose connection it is; 0 of everybody else's.</summary>
    internal int Term { get; set; }

    /// <summary>The kernel answers, also for a process that is held up; that it is full only the process says.</summary>
    internal void Connect(Action accepted, Action refused, Action closed, Action? full = null) => node.Network.Send(_up, () =>
    {
        _closed = closed;
        if (node.IsUp)
        {
            _life = node.Life;
            node.Connections.Add(this);
            Answer(accepted);
            node.Do(() =>
            {
                if (node.IsFull && node.Connections.Remove(this))
                {
                    Answer(() =>
                    {
                        IsOpen = false;
                        (full ?? closed)();
                    });
                }
            });
        }
        else
        {
            Answer(() =>
            {
                IsOpen = false;
                refused();
            });
        }
    });

    /// <summary>The node runs the command when it reads it, whether or not anyone still waits for the answer.</summary>
    internal void Send(Action<Action<Action>> run) => node.Network.Send(_up, () =>
    {
        if (_life == node.Life && node.Connections.Contains(this))
        {
            node.Do(() =>
            {
                if (node.Connections.Contains(this))
                {
                    run(Answer);
                }
            });
        }
    });

    /// <summary>The owner gives it up; what was sent is still on its way.</summary>
    internal void Abandon()
    {
        if (IsOpen)
        {
            IsOpen = false;
            node.Network.Send(_up, () => node.Do(() => node.Connections.Remove(this)));
        }
    }

    /// <summary>The node ends it.</summary>
    internal void Close() => Answer(() =>
    {
        IsOpen = false;
        _closed?.Invoke();
    });

    private void Answer(Action what) => node.Network.Send(_down, () =>
    {
        if (owner.Life == _ownersLife)
        {
            owner.Do(() =>
            {
                if (IsOpen)
                {
                    what();
                }
            });
        }
    });
}

/// <summary>A replica's link to its master.</summary>
internal sealed class ReplicaLink(SimulatedRedis replica, SimulatedRedis master)
{
    internal SimulatedRedis Replica => replica;

    internal SimulatedRedis Master => master;

    internal Pipe Up { get; } = new(replica.Place, master.Place);

    internal Pipe Down { get; } = new(master.Place, replica.Place);

    /// <summary>As the replica knows it.</summary>
    internal bool IsOpen { get; set; } = true;

    /// <summary>As the master knows it: writes are sent.</summary>
    internal bool IsServed { get; set; }

    internal long HeardByReplica { get; set; } = replica.World.Now;

    internal long HeardByMaster { get; set; } = replica.World.Now;

    /// <summary>What the replica has said to have; none yet.</summary>
    internal long Acknowledged { get; set; } = -1;

    /// <summary>As the master tells it: the copy is complete and the replica follows ("state=online").</summary>
    internal bool IsAttached { get; set; }

    /// <summary>What came while the replica was loading the copy.</summary>
    internal Queue<Action> Pending { get; } = new();
}

/// <summary>How nodes are set up; the same for all nodes of a run.</summary>
internal sealed record RedisSettings
{
    internal long BacklogBytes { get; init; } = 1_000_000;

    /// <summary>repl-diskless-sync-delay: how long a master waits before it makes a full copy.</summary>
    internal long CopyDelay { get; init; } = 5 * World.Second;

    internal long CopyTime { get; init; } = World.Second / 2;

    internal long LoadTime { get; init; } = World.Second / 5;

    internal long LinkTimeout { get; init; } = 8 * World.Second;

    internal long SaveInterval { get; init; } = 7 * World.Second;

    /// <summary>How long an append-only file is written anew.</summary>
    internal long RewriteTime { get; init; } = World.Second;

    /// <summary>With fewer bytes it is not rewritten, but for a full copy (auto-aof-rewrite-min-size).</summary>
    internal long RewriteFrom { get; init; } = long.MaxValue;

    /// <summary>What the operator has set.</summary>
    internal MinReplicas MinReplicas { get; init; } = MinReplicas.Default;

    /// <summary>Whether CONFIG REWRITE has a file to write to: then a restarted node has its last role.</summary>
    internal bool HasFile { get; init; } = true;
}

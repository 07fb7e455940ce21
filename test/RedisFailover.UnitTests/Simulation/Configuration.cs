namespace RedisFailover.UnitTests.Simulation;

/// <summary>
/// What the operator has configured: monitors read it when they start, applications with each write. It changes in a run: other nodes, or
/// another K of write safety.
/// </summary>
internal sealed class Configuration(World world, FailoverPolicy policy)
{
    /// <summary>
    /// What was configured before may be in force for so long: publications are on their way, monitors are not restarted yet.
    /// </summary>
    private const long Long = 10 * World.Second;

    private int _least;

    /// <summary>What a monitor that starts now goes by.</summary>
    internal FailoverPolicy Policy { get; private set; } = policy;

    /// <summary>K of the applications' WAIT K.</summary>
    internal int WaitFor { get; private set; } = policy.WriteSafety == WriteSafetyMode.Replicated ? policy.WriteQuorum : 1;

    /// <summary>On how many replicas a write has to be so that it is claimed to be safe: the highest K of late.</summary>
    internal int Claimed => world.Now - ChangedAt < Long ? Math.Max(_least, WaitFor) : Math.Max(WaitFor, Policy.WriteQuorum);

    /// <summary>When it was last changed.</summary>
    internal long ChangedAt { get; private set; } = long.MinValue / 2;

    /// <summary>Whether a node is configured, and has been for so long that every monitor watches it.</summary>
    internal bool IsWatched(NodeAddress node, long window) => Policy.Nodes.Contains(node) && world.Now - ChangedAt >= window;

    internal void Change(FailoverPolicy next)
    {
        Changing();
        Policy = next;
    }

    internal void Wait(int replicas)
    {
        Changing();
        WaitFor = replicas;
    }

    private void Changing()
    {
        _least = Math.Max(Claimed, Policy.WriteQuorum);
        ChangedAt = world.Now;
    }
}

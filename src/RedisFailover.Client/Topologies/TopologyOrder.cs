namespace RedisFailover.Client;

/// <summary>What becomes of a topology that was read.</summary>
internal enum TopologyPlace
{
    /// <summary>It takes the place of the one in force.</summary>
    Next,

    /// <summary>It is older than the one in force: refused.</summary>
    Older,

    /// <summary>It belongs to another incarnation of the store: followed once its master is known to hold our data.</summary>
    NewIncarnation,

    /// <summary>It belongs to an incarnation that came before the one in force: refused.</summary>
    FormerIncarnation,
}

/// <summary>Which topologies may follow: epochs never go back, nor compare across incarnations. Not thread-safe.</summary>
internal sealed class TopologyOrder
{
    private readonly HashSet<string> _former = new(StringComparer.Ordinal);

    /// <summary>The topology in force.</summary>
    public Topology Current { get; private set; } = Topology.None;

    /// <summary>Where a topology stands towards the one in force.</summary>
    public TopologyPlace PlaceOf(Topology topology) => (topology.Incarnation, Current.Incarnation) switch
    {
        _ when ReferenceEquals(Current, Topology.None) => TopologyPlace.Next,
        ({ } former, _) when _former.Contains(former) => TopologyPlace.FormerIncarnation,
        ({ } other, { } current) when other != current => TopologyPlace.NewIncarnation,
        _ when topology.Epoch >= Current.Epoch => TopologyPlace.Next,
        // Monitors before 0.2 named none: an update of theirs goes on with the epochs, a store that was lost does not.
        ({ }, null) => TopologyPlace.NewIncarnation,
        _ => TopologyPlace.Older,
    };

    /// <summary>Puts a topology in force; the incarnation that it leaves is not followed back.</summary>
    public void Take(Topology topology)
    {
        if (topology.Incarnation is null)
        {
            // A monitor of an older release leaves it out.
            topology = topology with { Incarnation = Current.Incarnation };
        }

        if (Current.Incarnation is { } left && left != topology.Incarnation)
        {
            _former.Add(left);
        }

        _former.UnionWith(topology.FormerIncarnations);
        Current = topology;
    }
}

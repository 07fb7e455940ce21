namespace RedisFailover;

/// <summary>What kind of foreign controller is connected to a node.</summary>
internal enum ControllerKind
{
    /// <summary>The leading monitor of another cluster: it gives orders.</summary>
    Leader,

    /// <summary>A monitor of another cluster that watches.</summary>
    Monitor,

    /// <summary>A Redis Sentinel.</summary>
    Sentinel,
}

/// <summary>Somebody else who manages a node, as its list of connections shows.</summary>
/// <param name="Kind">What it is.</param>
/// <param name="Name">Its connection's name.</param>
/// <param name="Address">From where it is connected, host:port.</param>
internal sealed record Controller(ControllerKind Kind, string Name, string Address);

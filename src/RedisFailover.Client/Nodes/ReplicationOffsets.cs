namespace RedisFailover.Client;

/// <summary>What INFO replication says of a node's place in the replication stream.</summary>
/// <param name="History">The replication history (replid) that the offset counts in.</param>
/// <param name="Offset">A master's: written up to there. A replica's: applied up to there.</param>
internal readonly record struct ReplicationPlace(string History, long Offset)
{
    /// <summary>Null when the reply does not tell, as for a replica that is copying everything anew.</summary>
    public static ReplicationPlace? Parse(string info, bool replica)
    {
        string[] lines = info.Split('\n', StringSplitOptions.TrimEntries);
        string? Of(string name)
            => Array.Find(lines, line => line.StartsWith(name + ":", StringComparison.Ordinal))?[(name.Length + 1)..];

        return Of("role") == (replica ? "slave" : "master")
            && Of("master_sync_in_progress") is null or "0"
            && Of("master_replid") is { } history
            && long.TryParse(Of(replica ? "slave_repl_offset" : "master_repl_offset"), out long offset)
                ? new ReplicationPlace(history, offset) : null;
    }
}

/// <summary>How far the master had written when it was asked. A replica that has applied as much holds every write acknowledged before that
/// question, also when its link has been down since. Not thread-safe.</summary>
internal sealed class ReplicationOffsets
{
    private const int Kept = 64;
    private readonly Queue<(long Asked, ReplicationPlace Place)> _samples = new();

    /// <summary>The master said where it is; it was asked at that moment.</summary>
    public void Add(long asked, ReplicationPlace place)
    {
        if (_samples.Count > 0 && _samples.Peek().Place.History != place.History)
        {
            // Another master, or the same one with other data: offsets of two histories do not compare.
            _samples.Clear();
        }

        _samples.Enqueue((asked, place));
        if (_samples.Count > Kept)
        {
            _samples.Dequeue();
        }
    }

    /// <summary>The latest moment whose writes a replica at this place all holds; null when it is not known to hold any.</summary>
    public long? FreshAsOf(ReplicationPlace replica)
    {
        long? fresh = null;
        foreach ((long asked, ReplicationPlace place) in _samples)
        {
            if (place.History == replica.History && place.Offset <= replica.Offset)
            {
                fresh = asked;
            }
        }

        return fresh;
    }
}

namespace RedisFailover;

/// <summary>What a master that was restarted lacks of what it held before, as far as anybody can know.</summary>
internal static class Shortfall
{
    /// <summary>
    /// What to note of a master that was restarted and stays in office; null where it was not restarted, or nothing is known to be missing.
    /// </summary>
    internal static HistoryEntry? OfMaster(NodeView master, MasterIdentity known, long epoch)
        => Of(master, known) is not (string text, var bytes) ? null : new HistoryEntry
        {
            Kind = HistoryKind.Restarted,
            Epoch = epoch,
            From = master.Address,
            To = master.Address,
            Reason = $"master {master.Address} was restarted and stays in office: {text}",
            BytesBehind = bytes,
        };

    /// <summary>In words, and in bytes of the replication stream where they can be counted.</summary>
    internal static (string Text, long? Bytes)? Of(NodeView master, MasterIdentity known)
    {
        if (master.Info is not { Role: NodeRole.Master } info || known.RunId.Length == 0 || info.RunId == known.RunId)
        {
            return null;
        }

        // The znode's offset is that of the last change; this monitor may have seen a later one.
        long offset = master.BeforeRestart is { } last && last.RunId == known.RunId ? Math.Max(known.Offset, last.Offset) : known.Offset;
        if (known.HasData && info.Keys == 0)
        {
            return ($"it held data before and is empty now (it was at offset {offset} at least): all that it held is gone", null);
        }

        if (!known.HasData)
        {
            return null;
        }

        if (info.ReplicationId == known.ReplicationId && info.Offset >= offset)
        {
            return null;
        }

        // From a snapshot a Redis of version 7 continues the history where the snapshot was taken.
        if (info.PreviousReplicationId == known.ReplicationId && info.PreviousHistoryEnd > 0)
        {
            long end = info.PreviousHistoryEnd - 1;
            return end >= offset ? null
                : ($"it goes on from offset {end}, and was at {offset} at least: {offset - end} bytes of its stream are lost", offset - end);
        }

        return ($"it came back with another replication id and {info.Keys} keys (it was at offset {offset} at least): whether it lacks anything cannot be told", null);
    }
}

namespace RedisFailover;

/// <summary>What a master that was restarted or replaced lacks, as far as anybody can know.</summary>
internal static class DataLoss
{
    /// <summary>
    /// The length of a PING in the replication stream (*1 $4 PING), which a master with replicas sends each repl-ping-replica-period. Every
    /// write is longer: the shortest is FLUSHDB, with 17.
    /// </summary>
    private const int PingLength = 14;

    /// <summary>How much of the end of a stream may be writes: one PING is none, and several cannot be told from a write.</summary>
    internal static long Writes(long bytes) => bytes == PingLength ? 0 : Math.Max(0, bytes);

    /// <summary>Whether so many bytes may be nothing but pings: as many as a master sends in some ten minutes.</summary>
    internal static bool MayBePings(long bytes) => bytes % PingLength == 0 && bytes <= 60 * PingLength;

    /// <summary>
    /// What to note of a master that was restarted and stays master; null where it was not restarted, or nothing is known to be missing.
    /// </summary>
    internal static HistoryEntry? OfMaster(NodeView master, MasterIdentity known, long epoch)
        => Of(master, known) is not (string text, var bytes) ? null : new HistoryEntry
        {
            Kind = HistoryKind.Restarted,
            Epoch = epoch,
            From = master.Address,
            To = master.Address,
            Reason = $"master {master.Address} was restarted and stays the master: {text}",
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
        long? end = info.CommonOffset(known);
        // Without a key, but as far as it was, or with its whole file: all have expired, or were deleted.
        if (known.HasData && info.Keys == 0 && !(end >= offset || (end is { } near && MayBePings(offset - near)))
            && !(master.BeforeRestart is { } was && AppendOnlyFiles.IsFileThere(master, was)))
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

        // From a snapshot a Redis of version 7 continues the history where the snapshot was taken, be that before the last masters.
        if (end is { } goesOn)
        {
            return Writes(offset - goesOn) == 0 ? null
                : ($"it goes on from offset {goesOn}, and was at {offset} at least: {offset - goesOn} bytes of its stream are lost",
                    offset - goesOn);
        }

        return (
            $"it came back with another replication id and {info.Keys} keys (it was at offset {offset} at least): whether it lacks "
                + $"anything cannot be told", null);
    }

    /// <summary>
    /// How much of a returning master's stream the new one does not have; null where that cannot be known. Either the new one remembers
    /// where its history left the old one (second_repl_offset), while the old one was not restarted; or the returning one remembers where
    /// it left.
    /// </summary>
    internal static long? ByReturning(NodeView master, NodeView returning)
        => master.Info is not { } current ? null
            : current is { PreviousReplicationId: { } previous, PreviousHistoryEnd: > 0 } && returning.Info!.ReplicationId == previous
                ? Writes(returning.Info.Offset - (current.PreviousHistoryEnd - 1))
            : LeftByHand(master, returning) ? Writes(returning.Info!.Offset - (returning.Info.PreviousHistoryEnd - 1))
            : null;

    /// <summary>A replica of this master that somebody else promoted: without a restart it left the master's present history.</summary>
    internal static bool LeftByHand(NodeView master, NodeView returning)
        => returning is { WasPromoted: true, Info: { PreviousReplicationId: { } left, PreviousHistoryEnd: > 0 } }
            && left == master.Info?.ReplicationId;
}

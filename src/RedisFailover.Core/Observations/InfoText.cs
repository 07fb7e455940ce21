using System.Collections.Immutable;
using System.Globalization;

namespace RedisFailover;

/// <summary>The fields of INFO's text that anything here goes by.</summary>
internal sealed class InfoText
{
    private readonly Dictionary<string, string> _fields = new(StringComparer.Ordinal);
    private readonly ImmutableArray<ReplicaLink>.Builder _replicas = ImmutableArray.CreateBuilder<ReplicaLink>();
    private long _keys;

    /// <summary>Reads the lines; what they say is looked at by <see cref="ToNode"/>.</summary>
    internal static InfoText Read(string info)
    {
        var text = new InfoText();
        foreach (ReadOnlySpan<char> line in info.AsSpan().EnumerateLines())
        {
            int colon = line.IndexOf(':');
            if (colon > 0 && line[0] != '#')
            {
                text.Add(line[..colon], line[(colon + 1)..]);
            }
        }

        return text;
    }

    private void Add(ReadOnlySpan<char> name, ReadOnlySpan<char> value)
    {
        if (IsNumbered(name, "db"))
        {
            _keys += KeysOf(value);
        }
        else if (IsNumbered(name, "slave"))
        {
            if (ReplicaLink.Parse(value) is { } replica)
            {
                _replicas.Add(replica);
            }
        }
        else if (IsWanted(name))
        {
            _fields[name.ToString()] = value.Trim().ToString();
        }
    }

    private static bool IsNumbered(ReadOnlySpan<char> name, string prefix)
        => name.StartsWith(prefix) && int.TryParse(name[prefix.Length..], NumberStyles.None, CultureInfo.InvariantCulture, out _);

    /// <summary>What the node says of itself.</summary>
    /// <exception cref="FormatException">A line that every Redis since 2.8 writes is missing or makes no sense.</exception>
    internal NodeInfo ToNode() => WithServer(WithReplication(WithDataSet(new NodeInfo
    {
        Role = Required("role") switch
        {
            "master" => NodeRole.Master,
            "slave" or "replica" => NodeRole.Replica,
            string other => throw new FormatException($"INFO says role:{other}; allowed: master, slave."),
        },
        RunId = Required("run_id"),
    })));

    private NodeInfo WithServer(NodeInfo info) => info with
    {
        ConnectedClients = (int)Math.Clamp(Whole("connected_clients", 0), 0, int.MaxValue),
        MaxClients = (int)Math.Clamp(Whole("maxclients", 0), 0, int.MaxValue),
        Version = Text("redis_version") ?? "",
        Software = Text("valkey_version") is { } valkey
            ? new ServerSoftware("valkey", valkey) : new ServerSoftware("redis", Text("redis_version") ?? ""),
        Mode = Text("redis_mode") ?? "standalone",
        ConfigFile = Text("config_file") ?? "",
        ShutsDownIn = Whole("shutdown_in_milliseconds", -1) is >= 0 and var left ? TimeSpan.FromMilliseconds(left) : null,
        Uptime = TimeSpan.FromSeconds(Whole("uptime_in_seconds", 0)),
    };

    private NodeInfo WithDataSet(NodeInfo info) => info with
    {
        Loading = Whole("loading", 0) != 0,
        Keys = _keys,
        SaveFailed = Text("rdb_last_bgsave_status") == "err",
        AppendFailed = Text("aof_last_write_status") == "err" && Whole("aof_enabled", 0) != 0,
        AppendsOnly = Whole("aof_enabled", 0) != 0,
        AppendsAll = Whole("aof_enabled", 0) != 0 && Whole("aof_rewrite_in_progress", 0) == 0 && Whole("aof_rewrite_scheduled", 0) == 0
            && Text("aof_last_write_status") != "err" && Text("aof_last_bgrewrite_status") != "err",
        AppendedBytes = Whole("aof_current_size", -1) is >= 0 and var appended ? appended : null,
        AppendedBase = Whole("aof_base_size", -1) is >= 0 and var based ? based : null,
        MemoryLeft = Whole("maxmemory", 0) is > 0 and var most && Text("maxmemory_policy") is null or "noeviction"
            ? most - CountedMemory : null,
        IsOverMaxMemory = Whole("maxmemory", 0) is > 0 and var allowed && CountedMemory > allowed + (allowed / 10),
        OutOfMemoryErrors = Text("errorstat_OOM") is { } errors && long.TryParse(errors.AsSpan(errors.IndexOf('=') + 1), out long refused)
            ? refused : 0,
        LoadedKeys = Whole("rdb_last_load_keys_loaded", -1) is >= 0 and var loaded ? loaded : null,
    };

    private NodeInfo WithReplication(NodeInfo info)
    {
        bool isReplica = info.Role == NodeRole.Replica;
        long masterOffset = Whole("master_repl_offset", 0);
        long replicaOffset = Whole("slave_repl_offset", 0);
        string? previous = Text("master_replid2");
        return WithLinks(info with
        {
            ReplicationId = Text("master_replid") ?? "",
            PreviousReplicationId = previous is null || previous.All(c => c == '0') ? null : previous,
            PreviousHistoryEnd = Whole("second_repl_offset", -1),
            // A replica that lost even its cached link reports 1 here and keeps what it had in master_repl_offset.
            Offset = isReplica && replicaOffset > 1 ? replicaOffset : masterOffset,
            ReadOffset = Whole("slave_read_repl_offset", 0),
            // 1 is what a replica reports that is attached to nobody and has no place to go on from.
            CopyBrokeOff = isReplica && replicaOffset <= 1 && masterOffset > 1,
            MasterAddress = isReplica && Text("master_host") is { } host
                ? new NodeAddress(host.ToLowerInvariant(), (int)Whole("master_port", 0)) : null,
            Priority = (int)Math.Clamp(Whole("slave_priority", 100), 0, int.MaxValue),
            BacklogFrom = Whole("repl_backlog_active", 0) != 0 && Whole("repl_backlog_first_byte_offset", 0) is > 0 and var first
                ? first : null,
            FullCopies = Whole("sync_full", 0),
            StreamErrors = Whole("unexpected_error_replies", 0),
            FailsOver = Text("master_failover_state") is not (null or "no-failover"),
        });
    }

    private NodeInfo WithLinks(NodeInfo info) => info with
    {
        LinkUp = Text("master_link_status") == "up",
        SyncInProgress = Whole("master_sync_in_progress", 0) != 0,
        LinkDownFor = Seconds("master_link_down_since_seconds"),
        LinkSilentFor = Seconds("master_last_io_seconds_ago"),
        Replicas = _replicas.ToImmutable(),
        Attached = [.. _replicas.Where(r => r.IsOnline).Select(r => r.Replica)],
        GoodReplicas = Whole("min_slaves_good_slaves", -1) is >= 0 and var good ? (int)good : null,
    };

    /// <summary>What counts against maxmemory: without the buffers of replicas and of the append-only file.</summary>
    private long CountedMemory => Whole("used_memory", 0) - Whole("mem_not_counted_for_evict", 0);

    private TimeSpan? Seconds(string field)
        => Whole(field, -1) is >= 0 and < int.MaxValue and var seconds ? TimeSpan.FromSeconds(seconds) : null;

    private string? Text(string field) => _fields.GetValueOrDefault(field);

    private string Required(string field) => Text(field) ?? throw new FormatException($"INFO has no '{field}'.");

    private long Whole(string field, long absent)
        => Text(field) is not { } value ? absent
            : long.TryParse(value, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out long number) ? number
            : throw new FormatException($"INFO says {field}:{value}, which is no number.");

    private static bool IsWanted(ReadOnlySpan<char> name) => name is "role" or "run_id" or "redis_version" or "loading"
        or "rdb_last_bgsave_status" or "aof_enabled" or "aof_current_size" or "aof_base_size"
        or "aof_rewrite_in_progress" or "aof_rewrite_scheduled" or "aof_last_bgrewrite_status"
        or "aof_last_write_status" or "redis_mode" or "config_file"
        or "valkey_version" or "uptime_in_seconds" or "rdb_last_load_keys_loaded"
        or "used_memory" or "mem_not_counted_for_evict" or "maxmemory" or "maxmemory_policy" or "errorstat_OOM"
        or "shutdown_in_milliseconds" or "sync_full" or "unexpected_error_replies" or "min_slaves_good_slaves"
        or "repl_backlog_active" or "repl_backlog_first_byte_offset"
        or "connected_clients" or "maxclients" or "second_repl_offset" || name.StartsWith("master_") || name.StartsWith("slave_");

    private static long KeysOf(ReadOnlySpan<char> keyspace)
    {
        // "keys=12,expires=0,avg_ttl=0"
        if (!keyspace.StartsWith("keys="))
        {
            return 0;
        }

        keyspace = keyspace[5..];
        int comma = keyspace.IndexOf(',');
        keyspace = comma < 0 ? keyspace : keyspace[..comma];
        return long.TryParse(keyspace, NumberStyles.None, CultureInfo.InvariantCulture, out long keys) ? keys : 0;
    }
}

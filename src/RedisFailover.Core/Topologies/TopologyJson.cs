using System.Collections.Immutable;
using System.Globalization;
using System.Text.Json;

namespace RedisFailover;

/// <summary>
/// The topology as the znode <c>R/nodes</c> holds it: indented JSON, a superset of what redis_failover (Ruby) wrote
/// (<c>{"master":…,"slaves":[…],"unavailable":[…]}</c>), so that its clients in other languages go on working.
/// </summary>
internal static class TopologyJson
{
    /// <summary>Far more than there will ever be, and exact in a language whose numbers are floating-point.</summary>
    private const long MaxEpoch = 1_000_000_000_000_000;

    private const string What = "The topology";

    /// <summary>What a monitor before 0.2 wrote into the reason where it waited: read for one release.</summary>
    private const string OldWaiting = "; waiting, because ", OldHeldBack = "; the failover is held back";

    /// <summary>Reads the content of the znode. Fields that are unknown are skipped; those missing have their defaults.</summary>
    /// <exception cref="FormatException">It is no topology; the message names the field and what is allowed.</exception>
    public static Topology Parse(ReadOnlyMemory<byte> utf8) => Json.Read(utf8, What, Parse);

    private static Topology Parse(JsonElement root)
    {
        if (!root.TryGetProperty("master", out _) && !root.TryGetProperty("slaves", out _))
        {
            throw new FormatException($"{What} has neither \"master\" nor \"slaves\".");
        }

        Topology topology = Fields(root);
        return Checked(root.TryGetProperty("members", out _) ? topology : topology with
        {
            // What the Ruby gem listed is this cluster's.
            Members = [.. topology.Replicas.Concat(topology.Unavailable).Concat(topology.Master is { } master ? [master] : []).Distinct()
                .Order()],
        });
    }

    private static Topology Fields(JsonElement root)
    {
        NodeAddress? master = Json.Address(root, "master", What);
        return new Topology
        {
            Master = master,
            Replicas = Json.Addresses(root, "slaves", What),
            Unavailable = Json.Addresses(root, "unavailable", What),
            Epoch = Json.Number(root, "epoch", What),
            Incarnation = Json.Text(root, "incarnation", What),
            FormerIncarnations = Json.Texts(root, "formerIncarnations", What),
            State = State(root, master),
            Reason = Json.Text(root, "reason", What) ?? "",
            Waiting = Waiting(root),
            ChangedAt = Time(root, "changedAt"),
            ChangedBy = Json.Text(root, "changedBy", What) ?? "",
            Members = Json.Addresses(root, "members", What),
            OtherReplicas = Json.Addresses(root, "otherReplicas", What),
            NeverPromoted = Json.Addresses(root, "neverPromoted", What),
            NeverRead = Json.Addresses(root, "neverRead", What),
            Zones = Json.Object(root, "zones", What) is { } zones
                ? Texts(zones, "zones") : ImmutableSortedDictionary<NodeAddress, string>.Empty,
            ReplicationIds = Json.Texts(root, "replicationIds", What),
            Identity = Identity(root),
            WriteQuorum = Quorum(root),
            Intent = Intent(root),
            LastChange = Json.Object(root, "lastChange", What) is { } change ? HistoryJson.Entry(change) : null,
            Remarks = Json.Object(root, "remarks", What) is { } remarks
                ? Texts(remarks, "remarks")
                : ImmutableSortedDictionary<NodeAddress, string>.Empty,
        };
    }

    private static Topology Checked(Topology topology)
    {
        if (topology.Epoch is < 0 or > MaxEpoch)
        {
            throw new FormatException($"{What}: \"epoch\" is {topology.Epoch}; allowed: 0 to {MaxEpoch}.");
        }

        // While a living master hands over it is still named; clients that do not know the state go on with it.
        if (topology.State != TopologyState.SwitchingOver && topology.State == TopologyState.Ok != (topology.Master is not null))
        {
            throw new FormatException($"{What}: \"state\" and \"master\" contradict each other.");
        }

        return topology;
    }

    private static TopologyState State(JsonElement root, NodeAddress? master) => Json.Text(root, "state", What) switch
    {
        "ok" => TopologyState.Ok,
        "failing-over" => TopologyState.FailingOver,
        "switching-over" => TopologyState.SwitchingOver,
        "no-master" => TopologyState.NoMaster,
        // The Ruby gem wrote none.
        null => master is null ? TopologyState.NoMaster : TopologyState.Ok,
        string other => throw new FormatException($"{What}: \"state\" is '{other}'; allowed: ok, failing-over, switching-over, no-master."),
    };

    private static FailoverIntent? Intent(JsonElement root)
        => Json.Object(root, "intent", What) is not { } intent
            ? null
            : new FailoverIntent(Json.Address(intent, "from", What), Json.Address(intent, "target", What))
            {
                // Before 0.2 it stood at the beginning of the topology's own reason alone.
                Occasion = Json.Text(intent, "reason", What) ?? (Json.Text(root, "reason", What) ?? "").Split(OldWaiting)[0],
                BegunIn = Json.Number(intent, "epoch", What),
                MasterWasHeard = Json.Flag(intent, "masterHeard", What),
                Request = Json.Text(intent, "request", What),
                Timeout = Json.Number(intent, "timeoutMillis", What) is > 0 and var millis ? TimeSpan.FromMilliseconds(millis) : null,
                Forced = Json.Flag(intent, "forced", What),
                MinReplicas = Json.Number(intent, "minReplicas", What) is > 0 and < MinReplicas.Refusing and var min
                    ? (int)min : null,
                Since = Time(intent, "since") is { } since && since != default ? since : null,
            };

    private static WaitCause? Waiting(JsonElement root)
        => Json.Object(root, "waiting", What) is { } waiting
            ? new WaitCause(Json.Text(waiting, "code", What) ?? "", Json.Addresses(waiting, "nodes", What))
            : Json.Text(root, "reason", What)?.Contains(OldHeldBack, StringComparison.Ordinal) == true
                ? new WaitCause(WaitCause.HeldBack, [])
            : null;

    /// <summary>Writes the topology as UTF-8, indented.</summary>
    public static byte[] Write(Topology topology)
    {
        ArgumentNullException.ThrowIfNull(topology);
        return Json.ObjectBytes(writer =>
        {
            writer.WriteString("master", topology.Master?.ToString());
            Json.Write(writer, "slaves", topology.Replicas);
            Json.Write(writer, "unavailable", topology.Unavailable);
            writer.WriteNumber("epoch", topology.Epoch);
            if (topology.Incarnation is { } incarnation)
            {
                writer.WriteString("incarnation", incarnation);
            }

            WriteTexts(writer, "formerIncarnations", topology.FormerIncarnations);
            writer.WriteString("state", Name(topology.State));
            writer.WriteString("reason", topology.Reason);
            Write(writer, topology.Waiting);
            writer.WriteString("changedAt", Json.Iso(topology.ChangedAt));
            writer.WriteString("changedBy", topology.ChangedBy);
            Json.Write(writer, "members", topology.Members);
            Json.WriteAny(writer, "otherReplicas", topology.OtherReplicas);
            Json.WriteAny(writer, "neverPromoted", topology.NeverPromoted);
            Json.WriteAny(writer, "neverRead", topology.NeverRead);
            Json.WriteAny(writer, "zones", topology.Zones, writer.WriteStringValue);
            Json.WriteAny(writer, "remarks", topology.Remarks, writer.WriteStringValue);
            Write(writer, topology.Identity);
            WriteTexts(writer, "replicationIds", topology.ReplicationIds);
            Write(writer, topology.WriteQuorum);
            Write(writer, topology.Intent);
            if (topology.LastChange is { } change)
            {
                writer.WritePropertyName("lastChange");
                HistoryJson.Write(writer, change);
            }
        });
    }

    private static void Write(Utf8JsonWriter writer, WaitCause? waiting)
    {
        if (waiting is not null)
        {
            writer.WriteStartObject("waiting");
            writer.WriteString("code", waiting.Code);
            Json.Write(writer, "nodes", waiting.Nodes);
            writer.WriteEndObject();
        }
    }

    private static void Write(Utf8JsonWriter writer, MasterIdentity? identity)
    {
        if (identity is null)
        {
            return;
        }

        writer.WriteStartObject("identity");
        writer.WriteString("runId", identity.RunId);
        writer.WriteString("replicationId", identity.ReplicationId);
        writer.WriteString("previousReplicationId", identity.PreviousReplicationId);
        if (identity.PreviousHistoryEnd > 0)
        {
            writer.WriteNumber("previousHistoryEnd", identity.PreviousHistoryEnd);
        }

        if (identity.Former is { } former)
        {
            writer.WriteStartArray("formerHistories");
            foreach (FormerHistory history in former.All())
            {
                writer.WriteStartObject();
                writer.WriteString("id", history.Id);
                writer.WriteNumber("end", history.End);
                writer.WriteEndObject();
            }

            writer.WriteEndArray();
        }

        writer.WriteNumber("offset", identity.Offset);
        writer.WriteBoolean("hasData", identity.HasData);
        writer.WriteEndObject();
    }

    private static void Write(Utf8JsonWriter writer, WriteQuorum? quorum)
    {
        if (quorum is null)
        {
            return;
        }

        writer.WriteStartObject("writeSafety");
        writer.WriteNumber("quorum", quorum.Quorum);
        Json.Write(writer, "replicas", quorum.Replicas);
        writer.WriteNumber("minReplicas", quorum.MinReplicas);
        writer.WriteStartObject("runs");
        foreach ((NodeAddress node, string run) in quorum.Runs)
        {
            writer.WriteString(node.ToString(), run);
        }

        writer.WriteEndObject();
        writer.WriteStartObject("before");
        writer.WriteNumber("minReplicas", quorum.Before.Count);
        writer.WriteNumber("maxLag", quorum.Before.MaxLag);
        writer.WriteEndObject();
        writer.WriteEndObject();
    }

    private static void Write(Utf8JsonWriter writer, FailoverIntent? intent)
    {
        if (intent is null)
        {
            return;
        }

        writer.WriteStartObject("intent");
        writer.WriteString("from", intent.From?.ToString());
        writer.WriteString("target", intent.Target?.ToString());
        writer.WriteString("reason", intent.Occasion);
        writer.WriteNumber("epoch", intent.BegunIn);
        writer.WriteBoolean("masterHeard", intent.MasterWasHeard);
        if (intent.Request is { } request)
        {
            writer.WriteString("request", request);
        }

        if (intent.Timeout is { } timeout)
        {
            writer.WriteNumber("timeoutMillis", (long)timeout.TotalMilliseconds);
        }

        if (intent.Forced)
        {
            writer.WriteBoolean("forced", true);
        }

        if (intent.MinReplicas is { } min)
        {
            writer.WriteNumber("minReplicas", min);
        }

        if (intent.Since is { } since)
        {
            writer.WriteString("since", Json.Iso(since));
        }

        writer.WriteEndObject();
    }

    /// <summary>The name of a state in the znode and in the output of the operator's tool.</summary>
    public static string Name(TopologyState state) => state switch
    {
        TopologyState.Ok => "ok",
        TopologyState.FailingOver => "failing-over",
        TopologyState.SwitchingOver => "switching-over",
        _ => "no-master",
    };

    private static void WriteTexts(Utf8JsonWriter writer, string field, ImmutableArray<string> texts)
    {
        if (texts.IsEmpty)
        {
            return;
        }

        writer.WriteStartArray(field);
        foreach (string text in texts)
        {
            writer.WriteStringValue(text);
        }

        writer.WriteEndArray();
    }

    private static DateTimeOffset Time(JsonElement parent, string field)
        => Json.Text(parent, field, What) is not { } text
            ? default
            : DateTimeOffset.TryParse(text, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out DateTimeOffset at)
                ? at
                : throw new FormatException($"{What}: \"{field}\" is '{text}'; allowed: an ISO 8601 time.");

    private static ImmutableSortedDictionary<NodeAddress, string> Texts(JsonElement byNode, string field)
        => byNode.EnumerateObject().ToImmutableSortedDictionary(
            n => NodeAddress.TryParse(n.Name, out NodeAddress? node)
                ? node : throw new FormatException($"{What}: \"{field}\" holds '{n.Name}', which is not host:port."),
            n => Json.Text(byNode, n.Name, What) ?? "");

    private static WriteQuorum? Quorum(JsonElement root)
        => Json.Object(root, "writeSafety", What) is not { } safety
            ? null
            : new WriteQuorum(
                Json.Number(safety, "quorum", What) is > 0 and < 1000 and var quorum
                    ? (int)quorum
                    : throw new FormatException(
                        $"{What}: \"quorum\" of \"writeSafety\" is {Json.Number(safety, "quorum", What)}; allowed: 1 or more."),
                Json.Addresses(safety, "replicas", What),
                (int)Json.Number(safety, "minReplicas", What),
                Json.Object(safety, "before", What) is { } before
                    ? new MinReplicas((int)Json.Number(before, "minReplicas", What), (int)Json.Number(before, "maxLag", What))
                    : MinReplicas.Default)
            {
                Runs = Json.Object(safety, "runs", What) is { } runs
                    ? Texts(runs, "runs") : ImmutableSortedDictionary<NodeAddress, string>.Empty,
            };

    private static MasterIdentity? Identity(JsonElement root)
        => Json.Object(root, "identity", What) is not { } identity
            ? null
            : new MasterIdentity(
                Json.Text(identity, "runId", What) ?? "",
                Json.Text(identity, "replicationId", What) ?? "",
                Json.Text(identity, "previousReplicationId", What),
                Json.Number(identity, "offset", What),
                Json.Flag(identity, "hasData", What))
            {
                PreviousHistoryEnd = Json.Number(identity, "previousHistoryEnd", What) is var end && end > 0 ? end : -1,
                Former = Json.Objects(identity, "formerHistories", What).Take(FormerHistory.Most).Reverse()
                    .Aggregate((FormerHistory?)null, (before, history) => new FormerHistory(
                        Json.Text(history, "id", What) ?? "", Json.Number(history, "end", What) is var last && last > 0 ? last : -1)
                    {
                        Before = before,
                    }),
            };
}

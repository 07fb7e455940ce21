using System.Collections.Immutable;
using System.Globalization;
using System.Security.Cryptography;
using System.Text;

namespace RedisFailover.Monitor.Redis;

/// <summary>
/// The names of a monitor's connections, by which others tell in a node's list of clients which cluster, monitor and term they belong to.
/// </summary>
/// <param name="root">The root znode of the cluster.</param>
/// <param name="monitor">The monitor's id.</param>
/// <param name="candidate">What tells this process from another with the same id.</param>
internal sealed class ClientNames(string root, string monitor, string candidate)
{
    private const string LeaderPrefix = "redis-failover-leader:";
    private const string MonitorPrefix = "redis-failover-monitor:";
    private const string Unknown = "-";

    /// <summary>The connections of this product's client: it follows the topology by itself.</summary>
    private const string OurClient = "redis-failover";

    /// <summary>A leader beats twice within each of its probe time-outs.</summary>
    private const int SilentSeconds = 2;

    private readonly string _cluster = Hash(root);

    /// <summary>Of this store and of those before it that this cluster had; the first is the present one. Replaced as a whole.</summary>
    private string[] _incarnations = [];

    private readonly Lock _gate = new();

    /// <summary>The term in which this monitor leads, and whether it may act; null where it does not lead.</summary>
    internal Func<(int Term, bool MayAct)?>? Lead { get; init; }

    /// <summary>The name of the connections of this monitor, as long as it has not led.</summary>
    internal string Monitor => $"{MonitorPrefix}{_cluster}:{Plain(monitor)}:{IncarnationTag}";

    /// <summary>
    /// The name of this monitor's connections as the leader of a term. Terms are counted in one incarnation of the store: that and the
    /// candidate tell leaders of the same number apart.
    /// </summary>
    internal string Leader(int term)
        => string.Create(CultureInfo.InvariantCulture, $"{LeaderPrefix}{_cluster}:{term}:{IncarnationTag}:{Hash(candidate)}");

    /// <summary>
    /// The incarnation as the topology names it, and those that it went on from; what was known before was this cluster's as well.
    /// </summary>
    /// <returns>Whether that changes the names.</returns>
    internal bool Learn(Topology? topology)
    {
        if (topology?.Incarnation is not { } incarnation)
        {
            return false;
        }

        lock (_gate)
        {
            string[] before = _incarnations;
            string[] known = [.. topology.FormerIncarnations.Reverse().Prepend(incarnation).Select(Hash).Concat(before).Distinct()];
            Volatile.Write(ref _incarnations, known);
            return before.Length == 0 || before[0] != known[0];
        }
    }

    /// <summary>
    /// The ids of the connections of this cluster's other leaders, in the reply to CLIENT LIST. A leader of an incarnation that is not
    /// known is either one of a store that was lost, and silent, or another ensemble's under the same path, and beats.
    /// </summary>
    internal IEnumerable<string> FormerLeaders(string list, string mine)
        => from client in Parse(list)
           where client.Name.StartsWith(LeaderPrefix, StringComparison.Ordinal) && client.Name != mine && !IsSuccessor(client, mine)
               && RelationOf(client.Name) is var relation
               && (relation == Relation.Ours || (relation == Relation.SamePath && client.IdleSeconds >= SilentSeconds))
           select client.Id;

    /// <summary>Whoever else manages the node, in the reply to CLIENT LIST.</summary>
    internal ImmutableArray<Controller> Foreign(string list)
    {
        ImmutableArray<Controller>.Builder found = ImmutableArray.CreateBuilder<Controller>();
        foreach ((_, string name, string address, _, _) in Parse(list))
        {
            ControllerKind? kind = name.StartsWith(LeaderPrefix, StringComparison.Ordinal) && IsForeign(name) ? ControllerKind.Leader
                : name.StartsWith(MonitorPrefix, StringComparison.Ordinal) && IsForeign(name) ? ControllerKind.Monitor
                : name.StartsWith("sentinel-", StringComparison.Ordinal) && name.EndsWith("-cmd", StringComparison.Ordinal)
                    ? ControllerKind.Sentinel
                : null;
            if (kind is { } known)
            {
                found.Add(new Controller(known, name, address));
            }
        }

        return found.ToImmutable();
    }

    /// <summary>
    /// The ids of the connections of applications that do not follow the topology by themselves, in the reply to CLIENT LIST: none of
    /// replicas, a master, monitors or this product's client.
    /// </summary>
    internal static IEnumerable<string> Applications(string list)
        => from client in Parse(list)
           where !client.Flags.AsSpan().ContainsAny("SMO") && client.Name != OurClient
               && !client.Name.StartsWith(LeaderPrefix, StringComparison.Ordinal)
               && !client.Name.StartsWith(MonitorPrefix, StringComparison.Ordinal)
               && !client.Name.StartsWith("sentinel-", StringComparison.Ordinal)
           select client.Id;

    private string IncarnationTag => Volatile.Read(ref _incarnations) is [var present, ..] ? present : Unknown;

    /// <summary>A leader that was held up in the middle of this must not end the connections of its successor.</summary>
    private static bool IsSuccessor(Client client, string mine)
        => client.IdleSeconds < SilentSeconds
            && (client.Name.Split(':'), mine.Split(':')) is ([_, _, var its, var incarnation, ..], [_, _, var own, var present, ..])
            && incarnation == present && incarnation != Unknown
            && int.TryParse(its, NumberStyles.None, CultureInfo.InvariantCulture, out int term)
            && int.TryParse(own, NumberStyles.None, CultureInfo.InvariantCulture, out int ours) && term > ours;

    private bool IsForeign(string name)
        => RelationOf(name) is var relation && (relation == Relation.None || (relation == Relation.SamePath && IncarnationTag != Unknown));

    /// <summary>What the name of a leader or monitor tells of its cluster. The releases before 0.2 named no incarnation.</summary>
    private Relation RelationOf(string name)
    {
        string[] fields = name.Split(':');
        return fields.Length < 2 || fields[1] != _cluster ? Relation.None
            : fields.Length < 4 || fields[3] == Unknown || Volatile.Read(ref _incarnations).Contains(fields[3]) ? Relation.Ours
            : Relation.SamePath;
    }

    private static IEnumerable<Client> Parse(string list)
    {
        foreach (string line in list.Split('\n'))
        {
            string[] fields = line.Split(' ');
            if (Value(fields, "id=") is { } id)
            {
                _ = int.TryParse(Value(fields, "idle="), NumberStyles.None, CultureInfo.InvariantCulture, out int idle);
                yield return new Client(
                    id, Value(fields, "name=") ?? "", Value(fields, "addr=") ?? "", Value(fields, "flags=") ?? "", idle);
            }
        }
    }

    private static string? Value(string[] fields, string key)
        => fields.FirstOrDefault(f => f.StartsWith(key, StringComparison.Ordinal))?[key.Length..];

    private static string Hash(string text) => Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(text)))[..8];

    /// <summary>A name may hold no spaces and nothing that cannot be printed; a colon separates our fields.</summary>
    private static string Plain(string id) => string.Concat(id.Take(64).Select(c => c is > ' ' and < '\x7f' and not ':' ? c : '_'));

    private enum Relation
    {
        /// <summary>Another root znode.</summary>
        None,

        /// <summary>The same root znode, in a store that is not known to be, or to have been, this cluster's.</summary>
        SamePath,

        /// <summary>This cluster.</summary>
        Ours,
    }

    private sealed record Client(string Id, string Name, string Address, string Flags, int IdleSeconds);
}

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
    private const string Leading = "redis-failover-leader:";
    private const string Watching = "redis-failover-monitor:";
    private const string Unknown = "-";

    /// <summary>The connections of this product's client: it follows the topology by itself.</summary>
    private const string OurClient = "redis-failover";

    private readonly string _cluster = Hash(root);

    /// <summary>The store of znodes that the terms are counted in, as the topology names it; null while it is not known.</summary>
    internal string? Incarnation { get; set; }

    /// <summary>The name of the connections of this monitor, as long as it has not led.</summary>
    internal string Monitor => $"{Watching}{_cluster}:{Plain(monitor)}";

    /// <summary>
    /// The name of this monitor's connections as the leader of a term. The incarnation and the candidate tell apart leaders of the
    /// same term
    /// of a store that was lost and begun anew.
    /// </summary>
    internal string Leader(int term)
        => string.Create(CultureInfo.InvariantCulture, $"{Leading}{_cluster}:{term}:{IncarnationTag}:{Hash(candidate)}");

    /// <summary>The ids of the connections of this cluster's other leaders, in the reply to CLIENT LIST.</summary>
    internal IEnumerable<string> FormerLeaders(string list, string mine)
        => from client in Parse(list)
           where client.Name.StartsWith(Leading, StringComparison.Ordinal) && client.Name != mine && IsOurs(client.Name)
           select client.Id;

    /// <summary>Whoever else manages the node, in the reply to CLIENT LIST.</summary>
    internal ImmutableArray<Controller> Foreign(string list)
    {
        ImmutableArray<Controller>.Builder found = ImmutableArray.CreateBuilder<Controller>();
        foreach ((_, string name, string address, _) in Parse(list))
        {
            ControllerKind? kind = name.StartsWith(Leading, StringComparison.Ordinal) && !IsOurs(name) ? ControllerKind.Leader
                : name.StartsWith(Watching, StringComparison.Ordinal) && !IsOurs(name) ? ControllerKind.Monitor
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
    /// The ids of the connections of applications that do not follow the topology by themselves, in the reply to CLIENT LIST: none
    /// of replicas,
    /// a master, monitors or this product's client.
    /// </summary>
    internal static IEnumerable<string> Applications(string list)
        => from client in Parse(list)
           where !client.Flags.AsSpan().ContainsAny("SMO") && client.Name != OurClient
               && !client.Name.StartsWith(Leading, StringComparison.Ordinal) && !client.Name.StartsWith(Watching, StringComparison.Ordinal)
               && !client.Name.StartsWith("sentinel-", StringComparison.Ordinal)
           select client.Id;

    private string IncarnationTag => Incarnation is { Length: > 0 } known ? Hash(known) : Unknown;

    /// <summary>
    /// Of this cluster: the same root, and the same incarnation where both are known. The releases before named neither incarnation
    /// nor candidate.
    /// </summary>
    private bool IsOurs(string name)
    {
        string[] fields = name.Split(':');
        return fields.Length > 1 && fields[1] == _cluster
            && (!name.StartsWith(Leading, StringComparison.Ordinal) || fields.Length < 4 || fields[3] == Unknown || IncarnationTag == Unknown
                || fields[3] == IncarnationTag);
    }

    private static IEnumerable<(string Id, string Name, string Address, string Flags)> Parse(string list)
    {
        foreach (string line in list.Split('\n'))
        {
            string[] fields = line.Split(' ');
            if (Value(fields, "id=") is { } id)
            {
                yield return (id, Value(fields, "name=") ?? "", Value(fields, "addr=") ?? "", Value(fields, "flags=") ?? "");
            }
        }
    }

    private static string? Value(string[] fields, string key)
        => fields.FirstOrDefault(f => f.StartsWith(key, StringComparison.Ordinal))?[key.Length..];

    private static string Hash(string text) => Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(text)))[..8];

    /// <summary>A name may hold no spaces and nothing that cannot be printed; a colon separates our fields.</summary>
    private static string Plain(string id) => string.Concat(id.Take(64).Select(c => c is > ' ' and < '\x7f' and not ':' ? c : '_'));
}

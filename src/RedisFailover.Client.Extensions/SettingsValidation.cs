using Microsoft.Extensions.Options;
using RedisFailover.ZooKeeper;

namespace RedisFailover.Client.Extensions;

/// <summary>One line for each setting that is wrong: its name in the configuration, what was given and what is allowed.</summary>
internal sealed class SettingsValidation(string? of, string section) : IValidateOptions<RedisFailoverSettings>
{
    public ValidateOptionsResult Validate(string? name, RedisFailoverSettings options)
    {
        if (name != of)
        {
            return ValidateOptionsResult.Skip;
        }

        string prefix = section.Length == 0 ? "" : section + ":";
        string[] problems = [.. Problems(options, prefix)];
        return problems.Length == 0 ? ValidateOptionsResult.Success : ValidateOptionsResult.Fail(problems);
    }

    private static IEnumerable<string> Problems(RedisFailoverSettings settings, string prefix)
    {
        if (Failure(() => ZooKeeperConnectionString.Parse(settings.ZooKeeper ?? "")) is { } malformed)
        {
            yield return string.IsNullOrEmpty(settings.ZooKeeper)
                ? $"{prefix}ZooKeeper is not given; allowed: the servers and the root of the cluster, zk1:2181,zk2:2181/redis_failover."
                : $"{prefix}ZooKeeper is {settings.ZooKeeper}; allowed: zk1:2181,zk2:2181/redis_failover ({malformed})";
        }

        string[] nodes = [.. settings.Zones.SelectMany(zone => zone.Value)];
        bool allNamed = true;
        foreach (string node in nodes.Where(node => Failure(() => NodeAddress.Parse(node)) is not null))
        {
            allNamed = false;
            yield return $"{prefix}Zones has the node '{node}'; allowed: host:port.";
        }

        if (settings is { Zone: { } zone, Zones.Count: > 0 } && !settings.Zones.ContainsKey(zone))
        {
            yield return $"{prefix}Zone is {zone}; allowed: one of Zones ({string.Join(", ", settings.Zones.Keys)}).";
        }

        if (allNamed)
        {
            foreach (string problem in settings.ToOptions().Problems(prefix))
            {
                yield return problem;
            }
        }
    }

    private static string? Failure(Func<object> parse)
    {
        try
        {
            _ = parse();
            return null;
        }
        catch (FormatException failure)
        {
            return failure.Message;
        }
    }
}

using System.Collections.Immutable;
using System.CommandLine;

namespace RedisFailover.Cli.Commands;

/// <summary>nodes add, remove, tag and adopt: the cluster's Redis nodes are changed while everything runs.</summary>
internal static class NodeChangeCommands
{
    private static readonly ImmutableSortedDictionary<NodeAddress, NodeTags> NoTags =
        ImmutableSortedDictionary<NodeAddress, NodeTags>.Empty;

    internal static Command Add()
    {
        Argument<string[]> nodes = Several("The nodes to add");
        Option<string[]> tags = new("--tag") { Description = $"Tags for all of them: {NodeTags.Allowed}", HelpName = "tag" };
        return ChangeRequest.Create(
            new Command("add",
                "Add nodes: the monitors watch them at once, and make them replicas of the master unless they hold other data") { nodes,
                    tags },
            parsed =>
            {
                ImmutableArray<NodeAddress> added = Addresses(parsed.GetValue(nodes)!);
                NodeTags change = Tags(parsed.GetValue(tags) ?? []);
                return new ChangeNodes(added, [], change == new NodeTags()
                    ? NoTags : added.ToImmutableSortedDictionary(n => n, _ => change));
            });
    }

    internal static Command Remove()
    {
        Argument<string[]> nodes = Several("The nodes to take out; not the master");
        return ChangeRequest.Create(
            new Command("remove", "Take nodes out: nobody watches them any more, and clients leave them") { nodes },
            parsed => new ChangeNodes([], Addresses(parsed.GetValue(nodes)!), NoTags));
    }

    internal static Command Tag()
    {
        Argument<string> node = new("host:port") { Description = "The node" };
        Argument<string[]> tags = new("tag") { Description = NodeTags.Allowed, Arity = ArgumentArity.OneOrMore };
        return ChangeRequest.Create(
            new Command("tag", "Tag a node: never promoted, never read from, its zone, its place in the order of promotion") { node, tags },
            parsed => new ChangeNodes([], [], NoTags.Add(Addresses([parsed.GetValue(node)!])[0], Tags(parsed.GetValue(tags)!))));
    }

    internal static Command Adopt()
    {
        Argument<string> node = new("host:port") { Description = "The node, as redis-failover check names it (foreign-data)" };
        Option<bool> discard =
            new("--discard-its-data") { Description = "Throw away what it holds: it becomes a replica and copies the master. Required" };
        return ChangeRequest.Create(
            new Command("adopt", "Take in a node that is left alone because it holds somebody else's data; these are lost") { node,
                discard },
            parsed => parsed.GetValue(discard)
                ? new AdoptNode(Addresses([parsed.GetValue(node)!])[0], DiscardsItsData: true)
                : throw new CliException("nodes adopt throws away what the node holds; say --discard-its-data if it may be",
                    CommandLine.WrongUsage));
    }

    private static Argument<string[]> Several(string description)
        => new("host:port") { Description = description, Arity = ArgumentArity.OneOrMore };

    private static ImmutableArray<NodeAddress> Addresses(IEnumerable<string> texts)
    {
        ImmutableArray<NodeAddress> nodes = Given<ImmutableArray<NodeAddress>>(() => [.. texts.Select(NodeAddress.Parse)]);
        return Failures.Repeated(nodes.Select(n => n.ToString())) is { } twice
            ? throw new CliException($"{twice} is given more than once; allowed: once.", CommandLine.WrongUsage) : nodes;
    }

    private static NodeTags Tags(IEnumerable<string> texts) => Given(() => NodeTags.Parse(texts));

    private static T Given<T>(Func<T> parse)
    {
        try
        {
            return parse();
        }
        catch (FormatException e)
        {
            throw new CliException(e.Message, CommandLine.WrongUsage, e);
        }
    }
}

using NUnit.Framework;
using RedisFailover.Client;
using StackExchange.Redis;

namespace RedisFailover.UnitTests.Client;

[TestFixture]
public sealed class RoutingTableTests
{
    [TestCase("GET", "Read")]
    [TestCase("get", "Read")]
    [TestCase("SET", "Write")]
    [TestCase("TIME", "Either")]
    [TestCase("SORT", "Write")]
    [TestCase("EVAL", "Write")]
    [TestCase("A.COMMAND.OF.TOMORROW", "Write")]
    public void A_command_that_is_not_known_to_read_is_a_write(string command, string expected)
        => Assert.That(RoutingTable.Of(command).ToString(), Is.EqualTo(expected));

    [TestCase("set", true)]
    [TestCase("SORT", true)]
    [TestCase("SORT_RO", false)]
    [TestCase("GET", false)]
    [TestCase("EVALSHA", false)]
    [TestCase("A.COMMAND.OF.TOMORROW", false)]
    public void A_known_write_is_told_from_what_is_not_listed(string command, bool expected)
        => Assert.That(RoutingTable.IsKnownWrite(command), Is.EqualTo(expected));

    [Test]
    public void No_member_is_listed_twice()
        => Assert.That(RoutingTable.All.Where(row => row.Member != "-").Select(row => row.Member), Is.Unique);

    [Test]
    public void Every_row_names_a_member()
    {
        HashSet<string> members = [.. typeof(IDatabase).GetInterfaces().Append(typeof(IDatabase))
            .SelectMany(contract => contract.GetMethods())
            .Select(method => method.Name.EndsWith("Async", StringComparison.Ordinal) ? method.Name[..^5] : method.Name)];
        Assert.That(
            RoutingTable.All.Select(row => row.Member).Where(member => member != "-" && !members.Contains(member)),
            Is.Empty,
            "a member that nobody has");
    }

    [Test]
    public void The_facade_implements_every_member_itself()
    {
        foreach (Type contract in typeof(IDatabase).GetInterfaces().Append(typeof(IDatabase)))
        {
            System.Reflection.InterfaceMapping map = typeof(FailoverDatabase).GetInterfaceMap(contract);
            Assert.That(map.TargetMethods.Select(method => method.DeclaringType), Has.All.EqualTo(typeof(FailoverDatabase)));
        }
    }
}

using NUnit.Framework;
using RedisFailover.Monitor.Redis;

namespace RedisFailover.UnitTests.Monitor;

[TestFixture]
public sealed class FormerLeadersTests
{
    [Test]
    public void Those_of_other_terms_of_the_same_cluster_are_found_and_nobody_else()
    {
        string mine = FormerLeaders.Name("/redis_failover", 7);
        string list = $"""
            id=3 addr=127.0.0.1:1 name= db=0
            id=4 addr=127.0.0.1:2 laddr=127.0.0.1:9 fd=8 name={FormerLeaders.Name("/redis_failover", 6)} age=1
            id=5 addr=127.0.0.1:3 name={mine} age=1
            id=6 addr=127.0.0.1:4 name={FormerLeaders.Name("/redis_failover", 12)} age=1
            id=7 addr=127.0.0.1:5 name={FormerLeaders.Name("/another", 6)} age=1
            id=8 addr=127.0.0.1:6 name=redis-failover age=1

            """;
        Assert.That(FormerLeaders.Others(list, mine), Is.EqualTo(new[] { "4", "6" }));
    }

    [Test]
    public void The_name_holds_nothing_that_a_connection_may_not_be_named()
        => Assert.That(FormerLeaders.Name("/with ünusual names", 1), Does.Match("^[!-~]+$"));
}
